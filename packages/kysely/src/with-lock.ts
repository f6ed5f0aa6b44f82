import { methods } from './pool-of.js'

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
