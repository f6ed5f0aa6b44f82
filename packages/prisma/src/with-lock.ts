import { methods } from './pool-of.js'

/**
 * Runs `fn` while holding the advisory lock of this name, over all processes that use the database.
 *
 * @throws as `pool.withLock`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, withLock } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await withLock(prisma, 'invoice:42', async ({ signal }) => {
 *   signal.throwIfAborted()
 *   await prisma.invoice.update({ where: { id: 42 }, data: { sent: true } })
 * }, { waitMs: 2_000 })
 * ```
 */
export const withLock = methods.withLock
