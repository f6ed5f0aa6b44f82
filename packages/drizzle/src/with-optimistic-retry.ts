import { methods } from './pool-of.js'

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
