import { type GivenUpReason, givenUp } from '../deadline/deadline.js'
import { classify, endsSession } from '../errors/classify.js'
import { UnreadableResultError } from '../errors/operation-errors.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { Operation } from './operation.js'
import type { TransactionStatus } from './protocol-handlers.js'

/**
 * What the end of an operation means to its caller. Everything in here is decided from the operation and from what the
 * server has said; nothing is changed.
 */

/** How often a statement is run again that the server has undone for no fault of its own. */
const mostReruns = 3

/**
 * The error for a caller whose statement has succeeded: undefined, unless a parser of values has thrown. Then it is what
 * that threw, or, where the work has been committed, so that to do it again would do it twice, an error that says so.
 */
export function readingError(
  operation: Operation,
  status: TransactionStatus,
  onlyReads: (text: string) => boolean,
): unknown {
  const { unreadable } = operation
  if (unreadable === undefined) return undefined
  const { error, index } = unreadable
  const isUndone = status !== 'I' || operation.wasRolledBack
  if (isUndone || operation.texts.every((text) => onlyReads(text))) return error
  return new UnreadableResultError({ cause: error, index })
}

/** The error for a caller that had given up, once the server has said that the statement failed. */
export function givenUpError(
  operation: Operation,
  failure: Error,
  reason: GivenUpReason,
  status: TransactionStatus,
): unknown {
  const isUndone = isUndoneByCancel(operation, failure, status) || (operation.isStale && status === 'I')
  if (isUndone) return givenUp(reason, 'cancelled', failure)
  return classify(failure) === 'cancelled' ? givenUp(reason, 'unknown', failure) : failure
}

/** Whether the server has undone it through no fault of its own, so that it is run again: outside of a transaction only. */
export function isUndoneForNothing(operation: Operation, failure: Error, status: TransactionStatus): boolean {
  if (operation.isAnswered || operation.reruns >= mostReruns || status !== 'I') return false
  if (!operation.mayRunAgain) return false
  if (operation.isStale || operation.mayBeStale) return true
  return operation.isExposed && isUndoneByCancel(operation, failure, status)
}

/**
 * Whether a cancel has undone all of it. What commits by itself can only do so outside of a transaction; in one that
 * has failed with it, nothing but its own COMMIT could have.
 */
function isUndoneByCancel({ effects }: Operation, failure: Error, status: TransactionStatus): boolean {
  if (classify(failure) !== 'cancelled') return false
  return status === 'I' ? !effects.commitsByItself : !effects.endsTransaction
}

/** What the server has said of the end of the session, in place of an answer to this operation; undefined for nothing. */
export function endOfSession(head: Operation | undefined): Error | undefined {
  const failure = head?.failure
  return failure !== undefined && endsSession(failure) ? failure : undefined
}

/** The error for a caller whose operation was under way when the session ended for this cause. */
export function lossError(operation: Operation, cause: Error): unknown {
  const lost = new ConnectionLostError(operation.sent, { cause })
  const { givenUp: reason, sent, failure } = operation
  if (reason === undefined) return failure ?? lost
  if (!sent) return givenUp(reason, 'not-sent', lost)
  if (failure === undefined || classify(failure) !== 'cancelled') return failure ?? lost
  // The cancel had been answered: that is what became of it, though the session ended before the answer did.
  const { commitsByItself, endsTransaction } = operation.effects
  return givenUp(reason, commitsByItself || endsTransaction ? 'unknown' : 'cancelled', failure)
}
