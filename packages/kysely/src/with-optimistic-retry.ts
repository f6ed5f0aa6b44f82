import { methods } from './pool-of.js'

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
