import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { type GivenUpOutcome, OperationAbortedError, OperationTimeoutError } from '../errors/operation-errors.js'
import { markOwn } from '../errors/origin.js'
import { noop } from '../observe/noop.js'
import { type Clock, nextMicrotask, systemClock } from './clock.js'

/** What every operation of Lifeguard takes to be bounded from outside. */
export interface OperationOptions {
  /**
   * Aborts the operation. What already runs on the server is cancelled there, and the connection comes back clean.
   *
   * @default undefined (not abortable)
   */
  readonly signal?: AbortSignal | undefined
  /**
   * Milliseconds after which the operation is given up, counted from the call and covering everything in it: the wait
   * for a connection, connecting, and the work on the server. `0` or more; fractions are allowed.
   *
   * @default undefined (no limit of its own)
   */
  readonly timeoutMs?: number | undefined
}

/** What ended an operation from outside. */
export type GivenUpReason =
  | { readonly kind: 'timeout'; readonly timeoutMs: number }
  | { readonly kind: 'aborted'; readonly reason: unknown }

/**
 * The bounds of one running operation: a time on the clock that it carries, and the caller's signal. Immutable; what holds
 * for a part of an operation is a deadline of its own, made from that of the whole.
 */
export class Deadline {
  readonly #clock: Clock
  /** Time on the clock at which the operation is given up; `Infinity` for never. */
  readonly at: number
  /** The duration that the caller gave, for messages. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined

  private constructor(clock: Clock, at: number, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#clock = clock
    this.at = at
    this.timeoutMs = timeoutMs
    this.signal = signal
  }

  /**
   * What a caller's options ask for, counted from now.
   *
   * @throws InvalidArgumentError when `timeoutMs` is no duration or `signal` no AbortSignal
   */
  static of(options: OperationOptions | undefined, clock: Clock): Deadline {
    if (options === undefined) return noDeadline
    if (options === null) throw new InvalidArgumentError('the options', 'null', 'an object')
    const { timeoutMs, signal } = options
    if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new InvalidArgumentError('timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new InvalidArgumentError('signal', `of type ${typeof signal}`, 'an AbortSignal')
    }
    if (timeoutMs === undefined && signal === undefined) return noDeadline
    return Deadline.after(timeoutMs ?? Number.POSITIVE_INFINITY, clock, signal)
  }

  /** So many milliseconds from now, or from `since` on the clock. */
  static after(timeoutMs: number, clock: Clock, signal?: AbortSignal, since = clock.now()): Deadline {
    return new Deadline(clock, since + timeoutMs, timeoutMs, signal)
  }

  /** Bounded by a signal alone. */
  static ofSignal(signal: AbortSignal | undefined): Deadline {
    return noDeadline.withSignal(signal)
  }

  /** Whether there is nothing that could end it. */
  get isNone(): boolean {
    return this.at === Number.POSITIVE_INFINITY && this.signal === undefined
  }

  /** Milliseconds that are left; never negative. */
  remainingMs(): number {
    return this.at === Number.POSITIVE_INFINITY ? this.at : Math.max(0, this.at - this.#clock.now())
  }

  /** The same time, with this signal in place of its own. */
  withSignal(signal: AbortSignal | undefined): Deadline {
    return new Deadline(this.#clock, this.at, this.timeoutMs, signal)
  }

  /** The same, and ended by this signal too. */
  and(signal: AbortSignal): Deadline {
    return this.withSignal(bothOf(this.signal, signal))
  }

  /** The tighter of two: the earlier time, and both signals. */
  tighter(outer: Deadline): Deadline {
    if (outer === noDeadline) return this
    if (this === noDeadline) return outer
    const first = this.at <= outer.at ? this : outer
    return first.withSignal(bothOf(this.signal, outer.signal))
  }

  /** Why it is over already, or undefined while it is not. */
  reached(): GivenUpReason | undefined {
    const { signal, at, timeoutMs } = this
    if (signal?.aborted === true) return { kind: 'aborted', reason: signal.reason }
    return at !== Number.POSITIVE_INFINITY && this.#clock.now() >= at ? { kind: 'timeout', timeoutMs } : undefined
  }

  /**
   * Calls `onReached` once, when its time comes or its signal aborts; returns the way to stop watching. Where there is
   * nothing that could end it, nothing is watched.
   */
  watch(onReached: (reason: GivenUpReason) => void): () => void {
    if (this.isNone) return noop
    const { signal, at, timeoutMs } = this
    const clock = this.#clock
    // An abort event is fired once. Never from inside the call, whose result the caller has not got yet.
    if (signal?.aborted === true) {
      let watching = true
      nextMicrotask(() => {
        if (watching) onReached({ kind: 'aborted', reason: signal.reason })
      })
      return () => {
        watching = false
      }
    }
    const onTime = (): void => {
      // A timer of Node may fire up to a millisecond early, and who is called then asks `reached`.
      const left = at - clock.now()
      if (left > 0) {
        timer = clock.setTimer(Math.max(left, leastDelayMs), onTime)
        return
      }
      stop()
      onReached({ kind: 'timeout', timeoutMs })
    }
    let timer = at === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(at - clock.now(), onTime)
    const onAbort = (): void => {
      stop()
      onReached({ kind: 'aborted', reason: signal?.reason })
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    function stop(): void {
      if (timer !== undefined) clock.clearTimer(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    return stop
  }

  /**
   * Waits for `promise`, but no longer than this allows; `outcome` is what is known of the work then. What the promise
   * stands for goes on.
   *
   * @param owner the pool whose error it is when the deadline is reached: see {@link ownedBy}
   */
  within<T>(promise: Promise<T>, outcome: GivenUpOutcome = 'not-sent', owner?: object): Promise<T> {
    if (this.isNone) return promise
    return new Promise((resolve, reject) => {
      const over = (reason: GivenUpReason): void => {
        const error = givenUp(reason, outcome)
        markOwn(error, owner)
        reject(error)
      }
      const reached = this.reached()
      if (reached !== undefined) over(reached)
      const stop = this.watch(over)
      promise.then(resolve, reject).finally(stop)
    })
  }
}

/** No bounds at all; shared, so that an operation without options allocates nothing. Its clock is never asked. */
export const noDeadline: Deadline = Deadline.after(Number.POSITIVE_INFINITY, systemClock)

function bothOf(inner: AbortSignal | undefined, outer: AbortSignal | undefined): AbortSignal | undefined {
  if (inner === undefined || inner === outer) return outer
  return outer === undefined ? inner : AbortSignal.any([inner, outer])
}

/** What is added to a time that is near enough must change it. */
const leastDelayMs = 0.001

/** The typed error for an operation that was ended from outside. */
export function givenUp(
  reason: GivenUpReason,
  outcome: GivenUpOutcome,
  cause?: unknown,
): OperationTimeoutError | OperationAbortedError {
  if (reason.kind === 'aborted') return new OperationAbortedError(outcome, { cause: reason.reason })
  return new OperationTimeoutError(reason.timeoutMs, outcome, cause === undefined ? undefined : { cause })
}

/** Waits `ms` milliseconds, or less when the deadline is reached first; says which of the two it was. */
export function sleep(ms: number, clock: Clock, deadline: Deadline): Promise<GivenUpReason | undefined> {
  const already = deadline.reached()
  if (already !== undefined) return Promise.resolve(already)
  return new Promise((resolve) => {
    const timer = clock.setTimer(ms, () => {
      stop()
      resolve(undefined)
    })
    const stop = deadline.watch((reason) => {
      clock.clearTimer(timer)
      resolve(reason)
    })
  })
}
