import { methods } from './pool-of.js'

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
