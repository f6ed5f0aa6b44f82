import { withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. FOR UPDATE locks the row of the event until the transaction ends: buyers of one event go one by one. Prisma
 * cannot say it, so that one statement is raw. The count comes after the lock is granted: it sees every ticket that was
 * sold before.
 */
export const buyForUpdate: Buy<PrismaDb> = (prisma, eventId, buyer) =>
  withTransaction(prisma, async (tx, { attempt }) => {
    const [event] = await tx.$queryRaw<
      { tickets: number }[]
    >`select tickets from event where id = ${eventId} for update`
    const sold = await tx.ticket.count({ where: { eventId } })
    if (sold >= (event?.tickets ?? 0)) return { sold: false, attempts: attempt }

    await tx.ticket.create({ data: { eventId, buyer } })
    return { sold: true, attempts: attempt }
  })
