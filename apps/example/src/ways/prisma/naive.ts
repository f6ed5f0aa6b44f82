import type { PrismaDb } from '../../clients.js'
import { payment } from '../payment.js'
import type { Buy } from '../way.js'

/** WRONG. Reads, decides, writes, with nothing in between to stop the others: see ../kysely/naive.ts. */
export const buyNaively: Buy<PrismaDb> = async (prisma, eventId, buyer) => {
  const { tickets } = await prisma.event.findUniqueOrThrow({ where: { id: eventId } })
  const sold = await prisma.ticket.count({ where: { eventId } })
  if (sold >= tickets) return { sold: false, attempts: 1 }

  await payment()
  await prisma.ticket.create({ data: { eventId, buyer } })
  return { sold: true, attempts: 1 }
}
