import type { Clock, Random } from '../deadline/clock.js'
import { Deadline, type OperationOptions } from '../deadline/deadline.js'
import { type BreakerVerdict, breakerVerdict } from '../errors/classify.js'
import { BreakerOpenError } from '../errors/pool-errors.js'
import { Emitter } from '../observe/emitter.js'
import { callUser, warnOf } from '../observe/user-callback.js'
import {
  type BreakerFigures,
  type BreakerState,
  type BreakerTransition,
  CircuitBreaker,
  type ResolvedBreakerOptions,
} from './circuit-breaker.js'

/** What a breaker of one's own is made of: see the options of `createBreaker`. */
export interface OwnBreakerParts extends ResolvedBreakerOptions {
  readonly name: string
  readonly verdict: (error: unknown) => BreakerVerdict
  readonly clock: Clock
  readonly random: Random
}

/** What a call gets. */
export interface BreakerCall {
  /** Aborts when the call's own time is up, or its caller's signal aborts. */
  readonly signal: AbortSignal
}

/** A circuit breaker; made by `createBreaker`. */
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

/** A breaker that stands by itself. */
export class OwnBreaker implements Breaker {
  readonly #name: string
  readonly #clock: Clock
  readonly #slowAfterMs: number
  readonly #verdict: (error: unknown) => BreakerVerdict
  readonly #events = new Emitter<{ breaker: BreakerTransition }>()
  readonly #breaker: CircuitBreaker
  #lastFailure: unknown

  constructor({ name, verdict, clock, random, ...options }: OwnBreakerParts) {
    this.#name = name
    this.#clock = clock
    this.#slowAfterMs = options.slowAfterMs
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
    this.#breaker = new CircuitBreaker(options, random, (transition) => this.#events.emit('breaker', () => transition))
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
    const deadline = Deadline.of(options, this.#clock)
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
    const stop = deadline.watch(() => controller.abort())
    let value: T
    try {
      value = await deadline.within(called(fn, controller.signal), 'unknown')
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
