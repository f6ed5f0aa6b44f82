import type { ControlledTransactionOptions } from './session/controlled-transaction.js'
import type { ControlledTransaction, Transaction } from './session/transaction.js'
import type { TransactionOptions } from './session/transaction-options.js'
import type { UpdateVersionedOptions } from './session/update-versioned.js'
import type { OptimisticAttempt, OptimisticRetryOptions } from './session/with-optimistic-retry.js'

/** Transactions of the pool, and updates that check a version in their place. */
export interface PoolTransactions {
  /**
   * Runs `fn` in a transaction, to which every query on this pool inside of `fn` belongs. It commits when `fn` returns
   * and rolls back when it throws; it runs `fn` again when the server undid the transaction for the sake of others.
   * Inside another transaction it is a savepoint.
   *
   * Do not end it by SQL in `fn`. After a COMMIT by hand an error no longer means that nothing was committed: the scope
   * ends there, what is asked of it later is refused with TransactionClosedError, and `fn` does not run again.
   *
   * @throws what `fn` threw; TransactionRolledBackError when `fn` swallowed the failure of a statement;
   * CommitUnknownError, and only that, when it is not known whether it was committed
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.withTransaction(
   *   async (tx) => {
   *     await tx.query('update account set balance = balance - $1 where id = $2', [10, 1])
   *     await tx.query('update account set balance = balance + $1 where id = $2', [10, 2])
   *   },
   *   { isolation: 'serializable', timeoutMs: 2_000 },
   * )
   * ```
   */
  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>

  /**
   * A transaction to be ended by hand, for callers that cannot put their work into one function; a savepoint inside the
   * transaction that is open around the call. Only queries through its own handle belong to it.
   */
  beginTransaction(options?: ControlledTransactionOptions): Promise<ControlledTransaction>

  /** The transaction that queries on this pool would join here; undefined outside of any. */
  readonly currentTransaction: Transaction | undefined

  /** Runs `fn` outside of the transaction that is open around the call: what it does is not undone with that. */
  outsideTransaction<T>(fn: () => Promise<T>): Promise<T>

  /**
   * Runs `fn` again for as long as it throws VersionConflictError, a few times at most: for updates that check a version
   * in place of holding a lock.
   */
  withOptimisticRetry<T>(fn: (attempt: OptimisticAttempt) => Promise<T>, options?: OptimisticRetryOptions): Promise<T>

  /**
   * Updates the row that has these key columns and still has the version that was read, and counts the version up.
   *
   * @throws VersionConflictError when somebody else was faster; inside `withOptimisticRetry` that is tried again
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.updateVersioned('item', { id: 7, version: 3 }, { name: 'Lamp' })
   * ```
   */
  updateVersioned<Row = Record<string, unknown>>(
    table: string,
    key: Readonly<Record<string, unknown>>,
    changes: Readonly<Record<string, unknown>>,
    options?: UpdateVersionedOptions,
  ): Promise<Row>
}
