import { type Transaction as CoreTransaction, InvalidArgumentError, type TransactionOptions } from '@pg-lifeguard/core'
import { adapterPool } from '@pg-lifeguard/core/adapter'
import type { Kysely, Transaction } from 'kysely'
import { LifeguardConnection } from './lifeguard-connection.js'
import { poolOf } from './pool-of.js'

/**
 * Runs `fn` in a transaction of the pool behind `db`: with its retries, its deadlines and its truth about commits. The
 * callback gets Kysely's own Transaction; queries through `db`, through another ORM on the same pool or on the pool
 * itself belong to it as well. Inside another transaction of the pool it is a savepoint.
 *
 * @throws as `pool.withTransaction`; InvalidArgumentError for a transaction that Kysely has begun by itself, and inside of
 * `db.connection()` once that has a session
 * @example
 * ```ts
 * import { createPool, LifeguardDialect, withTransaction } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   account: { id: number; balance: number }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/bank' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * await withTransaction(
 *   db,
 *   async (trx) => {
 *     await trx.updateTable('account').set((eb) => ({ balance: eb('balance', '-', 10) })).where('id', '=', 1).execute()
 *     await trx.updateTable('account').set((eb) => ({ balance: eb('balance', '+', 10) })).where('id', '=', 2).execute()
 *   },
 *   { isolation: 'serializable', timeoutMs: 2_000 },
 * )
 * ```
 */
export async function withTransaction<DB, T>(
  db: Kysely<DB> | Transaction<DB>,
  fn: (trx: Transaction<DB>, tx: CoreTransaction) => Promise<T>,
  options?: TransactionOptions,
): Promise<T> {
  const pool = poolOf(db)
  if (pool.currentTransaction === undefined && (await isTaken(db))) {
    throw new InvalidArgumentError(
      'db',
      "a transaction of Kysely's own, or inside of db.connection()",
      'the Kysely itself, or the Transaction of withTransaction(): what has a session of its own cannot be nested by the pool',
    )
  }
  return await pool.withTransaction(
    (tx) =>
      // Inside of Kysely's own transaction object a nested one is the same object: its queries go to the innermost level.
      db.isTransaction
        ? fn(db as Transaction<DB>, tx)
        : adapterPool(pool).adopting(tx, () => db.transaction().execute((trx) => fn(trx, tx))),
    options,
  )
}

async function isTaken<DB>(db: Kysely<DB>): Promise<boolean> {
  return await db
    .getExecutor()
    .provideConnection(async (connection) => connection instanceof LifeguardConnection && connection.isTaken)
}
