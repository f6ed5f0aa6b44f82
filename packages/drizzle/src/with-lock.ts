import { methods } from './pool-of.js'

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
