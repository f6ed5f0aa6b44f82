import { withLock } from '@pg-lifeguard/drizzle'
import { count, eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { event, ticket } from '../../schema/drizzle-tables.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. An advisory lock has a name of your choice, needs no row, and holds over all processes that use the database:
 * the first choice when the work is more than SQL. Hand `signal` on to such work: it aborts if the lock is lost.
 */
export const buyWithLock: Buy<DrizzleDb> = (db, eventId, buyer) =>
  withLock(db, `event:${eventId}`, async ({ signal }) => {
    const [found] = await db.select({ tickets: event.tickets }).from(event).where(eq(event.id, eventId))
    const [sold] = await db.select({ n: count() }).from(ticket).where(eq(ticket.eventId, eventId))
    if ((sold?.n ?? 0) >= (found?.tickets ?? 0)) return { sold: false, attempts: 1 }

    signal.throwIfAborted()
    await db.insert(ticket).values({ eventId, buyer })
    return { sold: true, attempts: 1 }
  })
