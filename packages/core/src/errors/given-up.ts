import type { Clock } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from '../base/limit.js'
import { type GivenUpOutcome, OperationAbortedError, OperationTimeoutError } from './operation-errors.js'
import { markOwn } from './origin.js'

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
