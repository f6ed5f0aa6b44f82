import { methods } from './pool-of.js'

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
