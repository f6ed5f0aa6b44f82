import { methods } from './pool-of.js'

/**
 * Like `withLock`, but does not wait: `acquired` is false when somebody else holds the lock.
 *
 * @throws as `pool.tryWithLock`
 * @example
 * ```ts
 * import { createPool, lifeguard, lifeguardAdapter, tryWithLock } from '@pg-lifeguard/prisma'
 * import { PrismaClient } from './generated/prisma/client.js'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const prisma = new PrismaClient({ adapter: lifeguardAdapter(pool) }).$extends(lifeguard(pool))
 * const result = await tryWithLock(prisma, 'reminders', () =>
 *   prisma.invoice.updateMany({ where: { sent: false }, data: { sent: true } }),
 * )
 * if (!result.acquired) console.log('somebody is at it already')
 * ```
 */
export const tryWithLock = methods.tryWithLock
