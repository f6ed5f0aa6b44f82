import { VersionConflictError, withOptimisticRetry, withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. Nobody waits for anybody: read the version, and write only if it is still the same; otherwise somebody was
 * quicker, and the work starts over with fresh figures. The transaction makes the new version and the ticket one.
 */
export const buyOptimistically: Buy<PrismaDb> = (prisma, eventId, buyer) =>
  withOptimisticRetry(
    prisma,
    ({ attempt }) =>
      withTransaction(prisma, async (tx) => {
        const { tickets, version } = await tx.event.findUniqueOrThrow({ where: { id: eventId } })
        const sold = await tx.ticket.count({ where: { eventId } })
        if (sold >= tickets) return { sold: false, attempts: attempt }

        const { count } = await tx.event.updateMany({ where: { id: eventId, version }, data: { version: version + 1 } })
        if (count === 0) throw new VersionConflictError(`event ${eventId}`)
        await tx.ticket.create({ data: { eventId, buyer } })
        return { sold: true, attempts: attempt }
      }),
    { attempts: 1_000, backoff: { capMs: 100 } },
  )
