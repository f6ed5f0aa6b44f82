import type { Transaction as CoreTransaction, TransactionOptions } from '@pg-lifeguard/core'
import { type AnyDatabase, linkOf, type TransactionOf } from './pool-of.js'

/**
 * Runs `fn` in a transaction of the pool behind `db`: with its retries, its deadlines and its truth about commits. The
 * callback gets Drizzle's own transaction; queries through `db`, through another ORM on the same pool or on the pool
 * itself belong to it as well. Inside another transaction of the pool it is a savepoint.
 *
 * @throws as `pool.withTransaction`
 * @example
 * ```ts
 * import { createPool, drizzle, withTransaction } from '@pg-lifeguard/drizzle'
 * import { eq, sql } from 'drizzle-orm'
 * import { integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const account = pgTable('account', { id: integer('id').primaryKey(), balance: integer('balance').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/bank' })
 * const db = drizzle(pool)
 * await withTransaction(
 *   db,
 *   async (tx) => {
 *     await tx.update(account).set({ balance: sql`${account.balance} - 10` }).where(eq(account.id, 1))
 *     await tx.update(account).set({ balance: sql`${account.balance} + 10` }).where(eq(account.id, 2))
 *   },
 *   { isolation: 'serializable', timeoutMs: 2_000 },
 * )
 * ```
 */
export async function withTransaction<DB extends AnyDatabase, T>(
  db: DB,
  fn: (tx: TransactionOf<DB>, core: CoreTransaction) => Promise<T>,
  options?: TransactionOptions,
): Promise<T> {
  const { pool, adopt } = linkOf(db)
  return await pool.withTransaction((core) => adopt(core, (tx) => fn(tx, core)) as Promise<T>, options)
}
