import type { Transaction as CoreTransaction, TransactionOptions } from '@pg-lifeguard/core'
import { poolMethods } from '@pg-lifeguard/core/adapter'
import { type AnyDatabase, linkOf, poolOf, type TransactionOf } from './pool-of.js'

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

/** The other methods of the pool, as functions of a database. */
const methods = poolMethods(poolOf)

/**
 * Runs `fn` while holding the advisory lock of this name, over all processes that use the database.
 *
 * @throws as `pool.withLock`
 * @example
 * ```ts
 * import { createPool, drizzle, withLock } from '@pg-lifeguard/drizzle'
 * import { eq } from 'drizzle-orm'
 * import { boolean, integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const invoice = pgTable('invoice', { id: integer('id').primaryKey(), sent: boolean('sent').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * await withLock(db, 'invoice:42', async ({ signal }) => {
 *   signal.throwIfAborted()
 *   await db.update(invoice).set({ sent: true }).where(eq(invoice.id, 42))
 * }, { waitMs: 2_000 })
 * ```
 */
export const withLock = methods.withLock

/**
 * Like `withLock`, but does not wait: `acquired` is false when somebody else holds the lock.
 *
 * @throws as `pool.tryWithLock`
 * @example
 * ```ts
 * import { createPool, drizzle, tryWithLock } from '@pg-lifeguard/drizzle'
 * import { eq } from 'drizzle-orm'
 * import { boolean, integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const report = pgTable('report', { id: integer('id').primaryKey(), made: boolean('made').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * const result = await tryWithLock(db, 'report', () =>
 *   db.update(report).set({ made: true }).where(eq(report.made, false)).returning(),
 * )
 * if (!result.acquired) console.log('somebody is at it already')
 * ```
 */
export const tryWithLock = methods.tryWithLock

/**
 * Runs `fn` while holding one of `permits` places of this name, over all processes that use the database.
 *
 * @throws as `pool.withSemaphore`
 * @example
 * ```ts
 * import { createPool, drizzle, withSemaphore } from '@pg-lifeguard/drizzle'
 * import { integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const purchase = pgTable('purchase', { id: integer('id').primaryKey(), total: integer('total').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * const rows = await withSemaphore(db, 'export', 3, () => db.select().from(purchase))
 * console.log(rows.length)
 * ```
 */
export const withSemaphore = methods.withSemaphore

/**
 * Runs `fn` again for as long as it throws VersionConflictError, a few times at most.
 *
 * @throws as `pool.withOptimisticRetry`
 * @example
 * ```ts
 * import { createPool, drizzle, updateVersioned, withOptimisticRetry } from '@pg-lifeguard/drizzle'
 * import { eq } from 'drizzle-orm'
 * import { integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const item = pgTable('item', {
 *   id: integer('id').primaryKey(),
 *   stock: integer('stock').notNull(),
 *   version: integer('version').notNull(),
 * })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * await withOptimisticRetry(db, async () => {
 *   const [read] = await db.select().from(item).where(eq(item.id, 7))
 *   if (read === undefined) throw new Error('no such item')
 *   await updateVersioned(db, item, { id: 7, version: read.version }, { stock: read.stock - 1 })
 * })
 * ```
 */
export const withOptimisticRetry = methods.withOptimisticRetry
