import { jitter, type Random } from '../deadline/clock.js'

/**
 * Decides how many connections may be opened at the same time, and when.
 *
 * - `open`: the server answers; as many as are needed.
 * - `down`: the last attempt failed; one probe at a time, the next not before `nextAt`. When one gets no answer, as its
 *   packets are dropped, another starts after a while: the server is found when it is back, not when the first times out.
 * - `ramping`: it answers again; `limit` at a time, doubling with each success, so that a server that has just started
 *   is not overloaded.
 */
type GateState =
  | { readonly kind: 'open' }
  | { readonly kind: 'down'; readonly since: number; readonly nextAt: number; readonly slowSteps: number }
  | { readonly kind: 'ramping'; readonly limit: number }

/** Whether one more connection may be opened; if not, when to ask again. */
export type GateAnswer = { readonly go: true } | { readonly go: false; readonly retryInMs: number | undefined }

/** Quick enough that a server which is back is found within a tenth of a second, whatever the jitter. */
const quickProbeMs = 72
const quickSpread = 0.05
const quickProbingForMs = 10_000
const slowProbeMs = 100
const slowSpread = 0.2
/** A server that is back is to be found within a second, however long it was away; with any jitter. */
const slowestProbeMs = 900
/** Probes under way at a time, where each gets no answer for longer than the slowest pause. */
const mostProbers = 3
/** Attempts within one second, probes and the ramp together, for as long as one of them has failed in that second. */
const mostPerSecond = 14
const secondMs = 1_000
const go: GateAnswer = { go: true }
const later: GateAnswer = { go: false, retryInMs: undefined }

/** One probe while the server is down, a ramp when it is back, never a stampede. Pure: time comes in as arguments. */
export class ConnectGate {
  readonly #random: Random
  #state: GateState = { kind: 'open' }
  #failures = 0
  #failedAt = Number.NEGATIVE_INFINITY
  #lastError: unknown
  /** When the last attempts were started, a ring; the oldest stands at `#starts % mostPerSecond`. */
  readonly #startedAt: number[] = new Array<number>(mostPerSecond).fill(Number.NEGATIVE_INFINITY)
  #starts = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Failed attempts since the last one that succeeded. */
  get failuresInARow(): number {
    return this.#failures
  }

  /** The error of the last attempt; undefined when it succeeded. */
  get lastError(): unknown {
    return this.#lastError
  }

  get isDown(): boolean {
    return this.#state.kind === 'down'
  }

  /** May one more attempt start now, with `opening` already under way? */
  ask(now: number, opening: number): GateAnswer {
    const state = this.#state
    switch (state.kind) {
      case 'open':
        return this.#unlessTooMany(now)
      case 'ramping':
        return opening < state.limit ? this.#unlessTooMany(now) : later
      case 'down':
        if (opening > 0) return this.#besides(now, opening)
        return now >= state.nextAt ? this.#unlessTooMany(now) : { go: false, retryInMs: state.nextAt - now }
    }
  }

  /** The next attempt may start at once: there is reason to believe that the server is back. */
  retryNow(now: number): void {
    const state = this.#state
    if (state.kind === 'down' && state.nextAt > now) this.#state = { ...state, nextAt: now }
  }

  /** An attempt was started at `now`. */
  started(now: number): void {
    this.#startedAt[this.#starts % mostPerSecond] = now
    this.#starts += 1
  }

  /** An attempt succeeded; `max` is the size at which the ramp is over. */
  succeeded(max: number): void {
    this.#failures = 0
    this.#lastError = undefined
    const state = this.#state
    if (state.kind === 'down') this.#state = max <= 2 ? { kind: 'open' } : { kind: 'ramping', limit: 2 }
    else if (state.kind === 'ramping') {
      this.#state = state.limit * 2 >= max ? { kind: 'open' } : { kind: 'ramping', limit: state.limit * 2 }
    }
  }

  /** An attempt failed at `now`. */
  failed(now: number, error: unknown): void {
    this.#failures += 1
    this.#failedAt = now
    this.#lastError = error
    const state = this.#state
    const since = state.kind === 'down' ? state.since : now
    const slow = now - since >= quickProbingForMs
    const slowSteps = state.kind === 'down' && slow ? state.slowSteps + 1 : 0
    const nextAt = slow ? now + this.#slowPause(slowSteps) : this.#quickProbeAt(now)
    this.#state = { kind: 'down', since, nextAt, slowSteps }
  }

  /** From start to start: a server that is starting takes time to refuse. */
  #quickProbeAt(now: number): number {
    return Math.max(now, this.#lastStartedAt + jitter(quickProbeMs, quickSpread, this.#random))
  }

  #slowPause(steps: number): number {
    const pause = Math.min(slowestProbeMs, slowProbeMs * 2 ** Math.min(steps, 10))
    return Math.min(slowestProbeMs, jitter(pause, slowSpread, this.#random))
  }

  /** The probe under way gets no answer: the next one need not wait for its end. */
  #besides(now: number, opening: number): GateAnswer {
    if (opening >= mostProbers) return later
    const nextAt = this.#lastStartedAt + slowestProbeMs
    return now >= nextAt ? this.#unlessTooMany(now) : { go: false, retryInMs: Math.ceil(nextAt - now) }
  }

  get #lastStartedAt(): number {
    return this.#startedAt[(this.#starts + mostPerSecond - 1) % mostPerSecond] ?? Number.NEGATIVE_INFINITY
  }

  /** The ramp follows the probes at once: a server that is just back gets no more than this of both together. */
  #unlessTooMany(now: number): GateAnswer {
    if (now - this.#failedAt >= secondMs) return go
    const oldest = this.#startedAt[this.#starts % mostPerSecond] ?? Number.NEGATIVE_INFINITY
    const retryInMs = oldest + secondMs - now
    // Whole milliseconds, as timers count: a remainder below the precision of `now` would never pass.
    return retryInMs <= 0 ? go : { go: false, retryInMs: Math.ceil(retryInMs) }
  }
}
