import { CommitFollower } from '../cluster/write-positions.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { CommitUnknownError } from '../errors/transaction-errors.js'
import type { CommitProof } from './commit-proof.js'
import type { SessionEnvironment } from './environment.js'
import type { BeginOptions } from './options.js'
import type { ServerTransaction } from './server-transaction.js'

/** What takes the position of a commit, where there are replicas to compare with it and somebody who will ask. */
export function commitFollower(
  { ambient, cluster }: SessionEnvironment,
  { readOnly }: BeginOptions,
): CommitFollower | undefined {
  const causality = ambient.current?.causality
  if (cluster === undefined || causality === undefined || readOnly === true) return undefined
  if (cluster.writes.isMute) {
    causality.noteUnknown()
    return undefined
  }
  return new CommitFollower(causality)
}

/**
 * Commits; where the answer is lost, finds out what became of it. Returns if and only if the transaction is committed.
 *
 * @throws what ended the transaction, when nothing was committed; CommitUnknownError when that is not known
 */
export async function commitProven(
  transaction: ServerTransaction,
  proof: CommitProof | undefined,
  { server, events }: SessionEnvironment,
): Promise<void> {
  try {
    await transaction.commit()
  } catch (error) {
    if (!(error instanceof CommitUnknownError)) throw error
    const { clock } = server.environment
    const since = clock.now()
    const outcome = proof === undefined ? 'unknown' : await proof.resolve(server)
    events.emit('ambiguous-commit', () => ({ outcome, error: error.cause, provedInMs: clock.now() - since }))
    if (outcome === 'unknown') throw error
    if (outcome === 'aborted') throw undone(error.cause)
  }
}

/** What ended the transaction, now that it is known to have had no effect. */
function undone(cause: unknown): unknown {
  if (!(cause instanceof OperationTimeoutError)) return cause
  return new OperationTimeoutError(cause.timeoutMs, 'cancelled', { cause })
}
