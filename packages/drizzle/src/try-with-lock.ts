import { methods } from './pool-of.js'

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
