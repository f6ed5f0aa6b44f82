import { TransactionClosedError } from '../errors/transaction-errors.js'
import type { OpenTransaction } from './ambient.js'

/**
 * What code is told that still runs inside of a transaction that is over. When that is because its connection was lost,
 * the cause says so, and `classify` with it.
 */
export function endedError({ server }: OpenTransaction): TransactionClosedError {
  const cause = server.isOver ? server.closedError().cause : undefined
  return new TransactionClosedError(
    'the transaction around this code has ended',
    cause === undefined ? undefined : { cause },
  )
}
