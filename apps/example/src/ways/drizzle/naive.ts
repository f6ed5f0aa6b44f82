import { count, eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { event, ticket } from '../../schema/drizzle-tables.js'
import { payment } from '../payment.js'
import type { Buy } from '../way.js'

/** WRONG. Reads, decides, writes, with nothing in between to stop the others: see ../kysely/naive.ts. */
export const buyNaively: Buy<DrizzleDb> = async (db, eventId, buyer) => {
  const [found] = await db.select({ tickets: event.tickets }).from(event).where(eq(event.id, eventId))
  const [sold] = await db.select({ n: count() }).from(ticket).where(eq(ticket.eventId, eventId))
  if ((sold?.n ?? 0) >= (found?.tickets ?? 0)) return { sold: false, attempts: 1 }

  await payment()
  await db.insert(ticket).values({ eventId, buyer })
  return { sold: true, attempts: 1 }
}
