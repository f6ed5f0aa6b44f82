import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { type GivenUpOutcome, OperationAbortedError, OperationTimeoutError } from '../errors/operation-errors.js'
import { markOwn } from '../errors/origin.js'
import { type Clock, nextMicrotask } from './clock.js'

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

/** The bounds of one running operation: an absolute time on the clock, and the caller's signal. */
export interface Limit {
  /** Time on the pool's clock at which it is given up; `Infinity` for never. */
  readonly deadlineAt: number
  /** The duration that the caller gave, for messages. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** No bounds at all; shared, so that an operation without options allocates nothing. */
export const unlimited: Limit = Object.freeze({
  deadlineAt: Number.POSITIVE_INFINITY,
  timeoutMs: Number.POSITIVE_INFINITY,
  signal: undefined,
})

/** The absolute form of a caller's options. */
export function limitOf(options: OperationOptions | undefined, clock: Clock): Limit {
  if (options === undefined || (options.signal === undefined && options.timeoutMs === undefined)) return unlimited
  const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY
  return {
    deadlineAt: timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : clock.now() + timeoutMs,
    timeoutMs,
    signal: options.signal,
  }
}

/** The tighter of two limits: the earlier deadline, and both signals. */
export function tighter(inner: Limit, outer: Limit): Limit {
  if (outer === unlimited) return inner
  if (inner === unlimited) return outer
  const first = inner.deadlineAt <= outer.deadlineAt ? inner : outer
  const signal =
    inner.signal === undefined || inner.signal === outer.signal
      ? outer.signal
      : outer.signal === undefined
        ? inner.signal
        : AbortSignal.any([inner.signal, outer.signal])
  return { deadlineAt: first.deadlineAt, timeoutMs: first.timeoutMs, signal }
}

/** What ended an operation from outside. */
export type LimitReason =
  | { readonly kind: 'timeout'; readonly timeoutMs: number }
  | { readonly kind: 'aborted'; readonly reason: unknown }

/** Why the limit is already over, or undefined while it is not. */
export function limitReached(limit: Limit, clock: Clock): LimitReason | undefined {
  if (limit === unlimited) return undefined
  if (limit.signal?.aborted === true) return { kind: 'aborted', reason: limit.signal.reason }
  if (limit.deadlineAt !== Number.POSITIVE_INFINITY && clock.now() >= limit.deadlineAt) {
    return { kind: 'timeout', timeoutMs: limit.timeoutMs }
  }
  return undefined
}

/**
 * Calls `onReached` once, when the limit's time comes or its signal aborts; returns the way to stop watching. An
 * unlimited operation is not watched at all.
 */
export function watchLimit(limit: Limit, clock: Clock, onReached: (reason: LimitReason) => void): () => void {
  const { signal, deadlineAt, timeoutMs } = limit
  if (signal === undefined && deadlineAt === Number.POSITIVE_INFINITY) return noop
  // An event that has been is not told again. Never from inside the call, whose result the caller has not got yet.
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
    // A timer of Node may fire up to a millisecond early, and who is called then asks `limitReached`.
    const left = deadlineAt - clock.now()
    if (left > 0) {
      timer = clock.setTimer(Math.max(left, leastDelayMs), onTime)
      return
    }
    stop()
    onReached({ kind: 'timeout', timeoutMs })
  }
  let timer = deadlineAt === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(deadlineAt - clock.now(), onTime)
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

/** What is added to a time that is near enough must change it. */
const leastDelayMs = 0.001

const noop = (): void => undefined

/** The typed error for an operation that was ended from outside. */
export function givenUp(
  reason: LimitReason,
  outcome: GivenUpOutcome,
  cause?: unknown,
): OperationTimeoutError | OperationAbortedError {
  if (reason.kind === 'aborted') return new OperationAbortedError(outcome, { cause: reason.reason })
  return new OperationTimeoutError(reason.timeoutMs, outcome, cause === undefined ? undefined : { cause })
}

/**
 * Waits for `promise`, but no longer than the limit allows; `outcome` is what is known of the work then. What the
 * promise stands for goes on.
 *
 * @param owner the pool whose error it is when the limit is reached: see {@link ownedBy}
 */
export function within<T>(
  promise: Promise<T>,
  limit: Limit,
  clock: Clock,
  outcome: GivenUpOutcome = 'not-sent',
  owner?: object,
): Promise<T> {
  const { signal, deadlineAt } = limit
  if (signal === undefined && deadlineAt === Number.POSITIVE_INFINITY) return promise
  return new Promise((resolve, reject) => {
    const over = (reason: LimitReason): void => {
      const error = givenUp(reason, outcome)
      markOwn(error, owner)
      reject(error)
    }
    const reached = limitReached(limit, clock)
    if (reached !== undefined) over(reached)
    const stop = watchLimit(limit, clock, over)
    promise.then(resolve, reject).finally(stop)
  })
}

/**
 * The limit that a caller's options ask for.
 *
 * @throws InvalidArgumentError when `timeoutMs` is no duration or `signal` no AbortSignal
 */
export function operationLimit(options: OperationOptions | undefined, clock: Clock): Limit {
  if (options !== undefined) {
    if (options === null) throw new InvalidArgumentError('the options', 'null', 'an object')
    const { timeoutMs, signal } = options
    if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new InvalidArgumentError('timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new InvalidArgumentError('signal', `of type ${typeof signal}`, 'an AbortSignal')
    }
  }
  return limitOf(options, clock)
}

/** Waits `ms` milliseconds, or less when the limit is reached first; tells which of the two it was. */
export function sleep(ms: number, clock: Clock, limit: Limit): Promise<LimitReason | undefined> {
  const already = limitReached(limit, clock)
  if (already !== undefined) return Promise.resolve(already)
  return new Promise((resolve) => {
    const timer = clock.setTimer(ms, () => {
      stop()
      resolve(undefined)
    })
    const stop = watchLimit(limit, clock, (reason) => {
      clock.clearTimer(timer)
      resolve(reason)
    })
  })
}
