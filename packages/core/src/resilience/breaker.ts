import { type Clock, type Random, systemClock, systemRandom } from '../deadline/clock.js'
import { type OperationOptions, operationLimit, watchLimit, within } from '../deadline/deadline.js'
import { type BreakerVerdict, breakerVerdict } from '../errors/classify.js'
import { fieldsOf } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { BreakerOpenError } from '../errors/pool-errors.js'
import { Emitter } from '../observe/emitter.js'
import { callUser, warnOf } from '../observe/user-callback.js'
import { type BreakerOptions, resolveBreakerOptions } from './breaker-options.js'
import { type BreakerFigures, type BreakerState, type BreakerTransition, CircuitBreaker } from './circuit-breaker.js'

/** Options of a breaker of one's own. */
export interface OwnBreakerOptions extends BreakerOptions {
  /** What it stands in front of, for messages. @default 'this call' */
  readonly name?: string | undefined
  /**
   * What the end of a call says of the host; `undefined` stands for a call that returned.
   *
   * @default breakerVerdict: by the same table as the pool's own breaker
   */
  readonly verdict?: ((error: unknown) => BreakerVerdict) | undefined
  /** Time and chance, for tests. @default the system's */
  readonly environment?: { readonly clock?: Clock; readonly random?: Random } | undefined
}

/** What a call gets. */
export interface BreakerCall {
  /** Aborts when the call's own time is up, or its caller's signal aborts. */
  readonly signal: AbortSignal
}

/** A circuit breaker; made by {@link createBreaker}. */
export interface Breaker {
  /** What it does now. */
  readonly state: BreakerState
  /** How long until calls are let through again, in milliseconds; `0` unless open. */
  readonly retryAfterMs: number
  /** What it judges by. */
  readonly figures: BreakerFigures
  /**
   * Runs `fn`, unless too many calls before it have failed.
   *
   * @throws BreakerOpenError without running it; OperationTimeoutError and OperationAbortedError when the call's bounds
   * end it; else what `fn` throws
   */
  run<T>(fn: (call: BreakerCall) => Promise<T>, options?: OperationOptions): Promise<T>
  /** Listens to changes of state; returns the way to stop. */
  on(name: 'breaker', listener: (transition: BreakerTransition) => void): () => void
}

/**
 * Makes a circuit breaker for anything that can fail: another service, another database. Those of a pool's own hosts
 * are there already.
 *
 * @throws InvalidArgumentError at once, naming the option, the value and what is allowed
 * @example
 * ```ts
 * import { createBreaker } from '@pg-lifeguard/core'
 *
 * const breaker = createBreaker({ name: 'the mail service', minCalls: 5, verdict: (error) => (error === undefined ? 'success' : 'failure') })
 * breaker.on('breaker', ({ to, reason }) => console.log(to, reason))
 * await breaker.run(({ signal }) => fetch('https://mail.example/send', { method: 'POST', signal }), { timeoutMs: 500 })
 * ```
 */
export function createBreaker(options: OwnBreakerOptions = {}): Breaker {
  return new OwnBreaker(options)
}

class OwnBreaker implements Breaker {
  readonly #name: string
  readonly #clock: Clock
  readonly #slowAfterMs: number
  readonly #verdict: (error: unknown) => BreakerVerdict
  readonly #events = new Emitter<{ breaker: BreakerTransition }>()
  readonly #breaker: CircuitBreaker
  #lastFailure: unknown

  constructor(options: OwnBreakerOptions) {
    const { name = 'this call', verdict = breakerVerdict, environment, ...rest } = fieldsOf(options)
    if (typeof name !== 'string' || name === '') {
      throw new InvalidArgumentError('name', JSON.stringify(name) ?? String(name), 'a text of at least one character')
    }
    if (typeof verdict !== 'function') {
      throw new InvalidArgumentError('verdict', `of type ${typeof verdict}`, 'a function from an error to a verdict')
    }
    const resolved = resolveBreakerOptions(rest)
    this.#name = name
    this.#clock = environment?.clock ?? systemClock
    this.#slowAfterMs = resolved.slowAfterMs
    this.#verdict = (error) => {
      try {
        const given: unknown = verdict(error)
        // An async one has said nothing yet.
        if (typeof given !== 'string')
          callUser(
            () => given,
            (thrown) => warnOf(thrown, 'LifeguardBreakerWarning'),
          )
        return typeof given === 'string' ? (given as BreakerVerdict) : breakerVerdict(error)
      } catch (thrown) {
        // The call has ended, and its own outcome is what its caller gets; a probe that is never settled would block all.
        warnOf(thrown, 'LifeguardBreakerWarning')
        return breakerVerdict(error)
      }
    }
    this.#breaker = new CircuitBreaker(resolved, environment?.random ?? systemRandom, (transition) =>
      this.#events.emit('breaker', () => transition),
    )
  }

  get state(): BreakerState {
    return this.#breaker.state
  }
  get retryAfterMs(): number {
    return this.#breaker.retryAfterMs(this.#clock.now())
  }
  get figures(): BreakerFigures {
    return this.#breaker.figures(this.#clock.now())
  }

  on(name: 'breaker', listener: (transition: BreakerTransition) => void): () => void {
    return this.#events.on(name, listener)
  }

  async run<T>(fn: (call: BreakerCall) => Promise<T>, options?: OperationOptions): Promise<T> {
    const limit = operationLimit(options, this.#clock)
    const since = this.#clock.now()
    const permit = this.#breaker.admit(since)
    if (permit === undefined) {
      const cause = this.#lastFailure
      throw new BreakerOpenError(this.#name, this.retryAfterMs, this.figures, cause === undefined ? {} : { cause })
    }
    const ended = (error: unknown): void => {
      const now = this.#clock.now()
      const verdict = this.#verdict(error)
      if (verdict === 'failure') this.#lastFailure = error
      this.#breaker.settle(permit, verdict === 'success' && now - since > this.#slowAfterMs ? 'slow' : verdict, now)
    }
    const controller = new AbortController()
    const stop = watchLimit(limit, this.#clock, () => controller.abort())
    let value: T
    try {
      value = await within(called(fn, controller.signal), limit, this.#clock, 'unknown')
    } catch (error) {
      ended(error ?? new Error('rejected with nothing'))
      throw error
    } finally {
      stop()
    }
    ended(undefined)
    return value
  }
}

/** A function that throws before it returns a promise has failed like any other. */
async function called<T>(fn: (call: BreakerCall) => Promise<T>, signal: AbortSignal): Promise<T> {
  return await fn({ signal })
}
