import { provesAbort } from '../errors/classify.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { CommitUnknownError, TransactionRolledBackError } from '../errors/transaction-errors.js'

/** What an error in answer to COMMIT means: either it proves that nothing was committed, or nobody knows. */
export function commitError(error: unknown): unknown {
  if (error instanceof TransactionRolledBackError || provesAbort(error)) return error
  // Not a byte of COMMIT was sent: the server rolls back when it sees that the session is gone.
  if (error instanceof ConnectionLostError && !error.sent) return error
  return new CommitUnknownError({ cause: error })
}
