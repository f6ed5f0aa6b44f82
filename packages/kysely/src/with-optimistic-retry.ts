import type { OptimisticAttempt, OptimisticRetryOptions } from '@pg-lifeguard/core'
import type { Kysely } from 'kysely'
import { poolOf } from './pool-of.js'

/**
 * Runs `fn` again for as long as it throws VersionConflictError, a few times at most.
 *
 * @throws as `pool.withOptimisticRetry`
 * @example
 * ```ts
 * import { createPool, LifeguardDialect, VersionConflictError, withOptimisticRetry } from '@pg-lifeguard/kysely'
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
 *   const { numUpdatedRows } = await db
 *     .updateTable('item')
 *     .set({ stock: item.stock - 1, version: item.version + 1 })
 *     .where('id', '=', 7)
 *     .where('version', '=', item.version)
 *     .executeTakeFirst()
 *   if (numUpdatedRows === 0n) throw new VersionConflictError('item 7')
 * })
 * ```
 */
export async function withOptimisticRetry<DB, T>(
  db: Kysely<DB>,
  fn: (attempt: OptimisticAttempt) => Promise<T>,
  options?: OptimisticRetryOptions,
): Promise<T> {
  return await poolOf(db).withOptimisticRetry(fn, options)
}
