import { jitter, type Random } from '../deadline/clock.js'
import { noop } from '../observe/noop.js'

/** When a circuit breaker opens, and how it closes again: see the option `breaker`. Times in milliseconds. */
export interface ResolvedBreakerOptions {
  readonly failureRate: number
  readonly slowRate: number
  readonly slowAfterMs: number
  readonly minCalls: number
  readonly windowMs: number
  readonly windowCalls: number | undefined
  readonly halfOpenCalls: number
  readonly openMs: number
  readonly maxOpenMs: number
}

/** What one call means for the server: see `breakerVerdict`. Neutral ones mean nothing and are not kept. */
export type Outcome = 'success' | 'failure' | 'slow'

/** How many calls a window holds, and how they went. */
export interface OutcomeTally {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** The calls that a breaker judges by. Pure: time comes in as an argument. */
export interface OutcomeWindow {
  add(outcome: Outcome, now: number): void
  tally(now: number): OutcomeTally
  clear(): void
}

interface Bucket {
  /** Which stretch of time it is about; `-1` for none. */
  stretch: number
  calls: number
  failures: number
  slow: number
}

/** Stretches that a window of time consists of: what it forgets, it forgets in tenths. */
const stretches = 10

/** The calls of the last `windowMs` milliseconds, give or take a tenth. Its size does not depend on their number. */
class TimeWindow implements OutcomeWindow {
  readonly #stretchMs: number
  readonly #buckets: readonly Bucket[] = Array.from({ length: stretches }, emptyBucket)

  constructor(windowMs: number) {
    this.#stretchMs = windowMs / stretches
  }

  add(outcome: Outcome, now: number): void {
    const stretch = Math.floor(now / this.#stretchMs)
    const bucket = this.#buckets[((stretch % stretches) + stretches) % stretches] as Bucket
    if (bucket.stretch !== stretch) Object.assign(bucket, emptyBucket(), { stretch })
    bucket.calls += 1
    if (outcome === 'failure') bucket.failures += 1
    else if (outcome === 'slow') bucket.slow += 1
  }

  tally(now: number): OutcomeTally {
    const oldest = Math.floor(now / this.#stretchMs) - stretches
    const sum = { calls: 0, failures: 0, slow: 0 }
    for (const { stretch, calls, failures, slow } of this.#buckets) {
      if (stretch <= oldest || calls === 0) continue
      sum.calls += calls
      sum.failures += failures
      sum.slow += slow
    }
    return sum
  }

  clear(): void {
    for (const bucket of this.#buckets) Object.assign(bucket, emptyBucket())
  }
}

/** The last `size` calls, however old. */
class CountWindow implements OutcomeWindow {
  readonly #outcomes: Outcome[] = []
  readonly #size: number
  #next = 0
  #failures = 0
  #slow = 0

  constructor(size: number) {
    this.#size = size
  }

  add(outcome: Outcome): void {
    this.#count(this.#outcomes[this.#next], -1)
    this.#outcomes[this.#next] = outcome
    this.#count(outcome, 1)
    this.#next = (this.#next + 1) % this.#size
  }

  tally(): OutcomeTally {
    return { calls: this.#outcomes.length, failures: this.#failures, slow: this.#slow }
  }

  clear(): void {
    this.#outcomes.length = 0
    this.#next = 0
    this.#failures = 0
    this.#slow = 0
  }

  #count(outcome: Outcome | undefined, by: 1 | -1): void {
    if (outcome === 'failure') this.#failures += by
    else if (outcome === 'slow') this.#slow += by
  }
}

function emptyBucket(): Bucket {
  return { stretch: -1, calls: 0, failures: 0, slow: 0 }
}

/** Closed lets every call through, open none, half-open a few to try. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/**
 * Why a breaker changed its state.
 *
 * - `failure-rate`, `slow-rate`: too many of the last calls failed, or were slow.
 * - `probe-failed`: what was let through to try failed as well.
 * - `probes-silent`: what was let through to try was not answered in time.
 * - `time-to-probe`: the open time is over.
 * - `server-answers`: the server answered before that.
 * - `probes-succeeded`: what was let through to try went well.
 */
export type BreakerReason =
  | 'failure-rate'
  | 'slow-rate'
  | 'probe-failed'
  | 'probes-silent'
  | 'time-to-probe'
  | 'server-answers'
  | 'probes-succeeded'

/** What a breaker judges by, at one moment. */
export interface BreakerFigures {
  /** Calls in the window; while half-open, answers of probes. */
  readonly calls: number
  /** Of them, failed. */
  readonly failures: number
  /** Of them, slow. */
  readonly slow: number
  /** How often it opened without having closed in between. */
  readonly opensInARow: number
}

/** One change of state. */
export interface BreakerTransition {
  readonly from: BreakerState
  readonly to: BreakerState
  readonly reason: BreakerReason
  readonly figures: BreakerFigures
}

/** What a call means for the server when it has ended; neutral ones mean nothing. */
export type Verdict = Outcome | 'neutral'

/** Permission for one call, to be settled once with its verdict. */
export interface Permit {
  readonly epoch: number
  /** Whether it is one of the few that probe the server while the breaker is half-open. */
  readonly isProbe: boolean
}

interface Closed {
  readonly kind: 'closed'
  /** The same for every call: nothing is allocated while all is well. */
  readonly permit: Permit
}
interface Open {
  readonly kind: 'open'
  readonly until: number
}
interface HalfOpen {
  readonly kind: 'half-open'
  /** Probes under way. */
  readonly probes: Set<Permit>
  readonly giveUpAt: number
  calls: number
  failures: number
  slow: number
}

/**
 * The state machine of a circuit breaker, without timers, I/O or a clock: time comes in as arguments, so that every
 * course of events can be replayed. Changes of state that are due happen at the next call of a method. Each state has an
 * epoch of its own, and what began in another one is not counted: a call that was sent to a server before it failed means
 * nothing for the server that is back.
 *
 * https://martinfowler.com/bliki/CircuitBreaker.html, https://resilience4j.readme.io/docs/circuitbreaker
 */
export class CircuitBreaker {
  readonly #options: ResolvedBreakerOptions
  readonly #random: Random
  readonly #changed: (transition: BreakerTransition, now: number) => void
  readonly #window: OutcomeWindow
  #state: Closed | Open | HalfOpen
  #epoch = 1
  #opensInARow = 0

  constructor(
    options: ResolvedBreakerOptions,
    random: Random,
    changed: (transition: BreakerTransition, now: number) => void = noop,
  ) {
    this.#options = options
    this.#random = random
    this.#changed = changed
    this.#window =
      options.windowCalls === undefined ? new TimeWindow(options.windowMs) : new CountWindow(options.windowCalls)
    this.#state = closed(this.#epoch)
  }

  get state(): BreakerState {
    return this.#state.kind
  }
  /** The number of this state, counted over all of them; calls carry it. */
  get epoch(): number {
    return this.#epoch
  }

  /** How long until calls are let through again, in milliseconds; `0` unless open. */
  retryAfterMs(now: number): number {
    const state = this.#state
    if (state.kind === 'open') return Math.max(0, state.until - now)
    return state.kind === 'half-open' ? Math.max(0, Math.min(this.#options.openMs, state.giveUpAt - now)) : 0
  }

  figures(now: number): BreakerFigures {
    const { calls, failures, slow } = this.#tally(now)
    return { calls, failures, slow, opensInARow: this.#opensInARow }
  }

  /** Asks to make one call; undefined when it may not be made. */
  admit(now: number): Permit | undefined {
    const state = this.#due(now)
    if (state.kind === 'closed') return state.permit
    if (state.kind === 'open' || state.probes.size + state.calls >= this.#options.halfOpenCalls) return undefined
    const permit: Permit = { epoch: this.#epoch, isProbe: true }
    state.probes.add(permit)
    return permit
  }

  /** A call that was admitted has ended. Settling it twice, or in another epoch, changes nothing. */
  settle(permit: Permit, verdict: Verdict, now: number): void {
    if (!permit.isProbe) {
      this.observe(permit.epoch, verdict, now)
      return
    }
    const state = this.#due(now)
    // A probe of an earlier half-open state is not in the set of this one.
    if (state.kind !== 'half-open' || !state.probes.delete(permit) || verdict === 'neutral') return
    state.calls += 1
    if (verdict === 'failure') state.failures += 1
    else if (verdict === 'slow') state.slow += 1
    this.#judgeProbes(state, now)
  }

  /** The verdict on a call that was sent in this epoch, and needed no permit: one of several that an admitted one made. */
  observe(epoch: number, verdict: Verdict, now: number): void {
    if (verdict === 'neutral' || epoch !== this.#epoch || this.#state.kind !== 'closed') return
    this.#window.add(verdict, now)
    if (verdict !== 'success') this.#judge(now)
  }

  /** The server has answered something else: probes are let through before the open time is over. */
  serverAnswers(now: number): void {
    if (this.#due(now).kind === 'open') this.#halfOpen('server-answers', now)
  }

  /** The state at this time: what is due happens first. */
  #due(now: number): Closed | Open | HalfOpen {
    const state = this.#state
    if (state.kind === 'half-open' && now >= state.giveUpAt) this.#open('probes-silent', now)
    else if (state.kind === 'open' && now >= state.until) this.#halfOpen('time-to-probe', now)
    return this.#state
  }

  #halfOpen(reason: BreakerReason, now: number): void {
    const giveUpAt = now + this.#options.maxOpenMs
    this.#become({ kind: 'half-open', probes: new Set(), giveUpAt, calls: 0, failures: 0, slow: 0 }, reason, now)
  }

  #judge(now: number): void {
    const { minCalls, failureRate, slowRate } = this.#options
    const { calls, failures, slow } = this.#window.tally(now)
    if (calls < minCalls) return
    if (failures > 0 && failures >= failureRate * calls) this.#open('failure-rate', now)
    else if (slow > 0 && slow + failures >= slowRate * calls) this.#open('slow-rate', now)
  }

  /** Opens as soon as too many probes have failed; closes when all have been answered and few enough have. */
  #judgeProbes(state: HalfOpen, now: number): void {
    const { halfOpenCalls, failureRate, slowRate } = this.#options
    const { calls, failures, slow } = state
    if (failures > 0 && failures >= failureRate * halfOpenCalls) this.#open('probe-failed', now)
    else if (slow > 0 && slow + failures >= slowRate * halfOpenCalls) this.#open('slow-rate', now)
    else if (calls >= halfOpenCalls) {
      this.#become(closed(this.#epoch + 1), 'probes-succeeded', now)
      this.#opensInARow = 0
      this.#window.clear()
    }
  }

  #open(reason: BreakerReason, now: number): void {
    const { openMs, maxOpenMs } = this.#options
    // Spread, so that the processes that saw a server fail together do not all try it again together.
    const pause = Math.min(maxOpenMs, openMs * 2 ** Math.min(this.#opensInARow, 30))
    const until = now + Math.min(maxOpenMs, jitter(pause, 0.2, this.#random))
    this.#opensInARow += 1
    this.#become({ kind: 'open', until }, reason, now)
  }

  #become(next: Closed | Open | HalfOpen, reason: BreakerReason, now: number): void {
    const transition = { from: this.#state.kind, to: next.kind, reason, figures: this.figures(now) }
    this.#state = next
    this.#epoch += 1
    this.#changed(transition, now)
  }

  #tally(now: number): OutcomeTally {
    return this.#state.kind === 'half-open' ? this.#state : this.#window.tally(now)
  }
}

function closed(epoch: number): Closed {
  return { kind: 'closed', permit: { epoch, isProbe: false } }
}
