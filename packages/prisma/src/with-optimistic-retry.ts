import { methods } from './pool-of.js'

/**
 * Runs `fn` again for as long as it throws VersionConflictError, a few times at most.
 *
 * @throws as `pool.withOptimisticRetry`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, updateVersioned, withOptimisticRetry } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * await withOptimisticRetry(prisma, async () => {
 *   const { id, version, stock } = await prisma.item.findUniqueOrThrow({ where: { id: 7 } })
 *   await updateVersioned(prisma.item, { id, version }, { stock: stock - 1 })
 * })
 * ```
 */
export const withOptimisticRetry = methods.withOptimisticRetry
