import type { Clock } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from '../base/limit.js'
import { type GivenUpOutcome, OperationAbortedError, OperationTimeoutError } from './operation-errors.js'

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
 */
export function within<T>(
  promise: Promise<T>,
  limit: Limit,
  clock: Clock,
  outcome: GivenUpOutcome = 'not-sent',
): Promise<T> {
  const { signal, deadlineAt } = limit
  if (signal === undefined && deadlineAt === Number.POSITIVE_INFINITY) return promise
  return new Promise((resolve, reject) => {
    const reached = limitReached(limit, clock)
    if (reached !== undefined) reject(givenUp(reached, outcome))
    const stop = watchLimit(limit, clock, (reason) => reject(givenUp(reason, outcome)))
    promise.then(resolve, reject).finally(stop)
  })
}
