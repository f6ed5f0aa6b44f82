import { withLock } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. An advisory lock has a name of your choice, needs no row, and holds over all processes that use the database:
 * the first choice when the work is more than SQL. Hand `signal` on to such work: it aborts if the lock is lost.
 */
export const buyWithLock: Buy<PrismaDb> = (prisma, eventId, buyer) =>
  withLock(prisma, `event:${eventId}`, async ({ signal }) => {
    const { tickets } = await prisma.event.findUniqueOrThrow({ where: { id: eventId } })
    const sold = await prisma.ticket.count({ where: { eventId } })
    if (sold >= tickets) return { sold: false, attempts: 1 }

    signal.throwIfAborted()
    await prisma.ticket.create({ data: { eventId, buyer } })
    return { sold: true, attempts: 1 }
  })
