import { type Transaction as CoreTransaction, InvalidArgumentError, type TransactionOptions } from '@pg-lifeguard/core'
import { adapterPool, poolMethods } from '@pg-lifeguard/core/adapter'
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

/** The other methods of the pool, as functions of a Kysely. */
const methods = poolMethods(poolOf)

/**
 * Runs `fn` while holding the advisory lock of this name, over all processes that use the database.
 *
 * @throws as `pool.withLock`
 * @example
 * ```ts
 * import { createPool, LifeguardDialect, withLock } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   invoice: { id: number; sent: boolean }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * await withLock(db, 'invoice:42', async ({ signal }) => {
 *   signal.throwIfAborted()
 *   await db.updateTable('invoice').set({ sent: true }).where('id', '=', 42).execute()
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
 * import { createPool, LifeguardDialect, tryWithLock } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   report: { id: number; made: boolean }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * const result = await tryWithLock(db, 'report', () =>
 *   db.updateTable('report').set({ made: true }).where('made', '=', false).execute(),
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
 * import { createPool, LifeguardDialect, withSemaphore } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   purchase: { id: number; total: number }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * const rows = await withSemaphore(db, 'export', 3, () => db.selectFrom('purchase').selectAll().execute())
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
 * import { createPool, LifeguardDialect, updateVersioned, withOptimisticRetry } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   item: { id: number; stock: number; version: number }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * await withOptimisticRetry(db, async () => {
 *   const item = await db.selectFrom('item').selectAll().where('id', '=', 7).executeTakeFirstOrThrow()
 *   await updateVersioned(db, 'item', { id: 7, version: item.version }, { stock: item.stock - 1 })
 * })
 * ```
 */
export const withOptimisticRetry = methods.withOptimisticRetry
