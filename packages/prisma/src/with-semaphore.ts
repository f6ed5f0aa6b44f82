import { methods } from './pool-of.js'

/**
 * Runs `fn` while holding one of `permits` places of this name, over all processes that use the database.
 *
 * @throws as `pool.withSemaphore`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, withSemaphore } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * const rows = await withSemaphore(prisma, 'export', 3, () => prisma.invoice.findMany())
 * console.log(rows.length)
 * ```
 */
export const withSemaphore = methods.withSemaphore
