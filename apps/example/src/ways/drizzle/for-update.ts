import { withTransaction } from '@pg-lifeguard/drizzle'
import { count, eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { event, ticket } from '../../schema/drizzle-tables.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. FOR UPDATE locks the row of the event until the transaction ends: buyers of one event go one by one. The count
 * is a statement of its own, after the lock is granted: it sees every ticket that was sold before.
 */
export const buyForUpdate: Buy<DrizzleDb> = (db, eventId, buyer) =>
  withTransaction(db, async (tx, { attempt }) => {
    const [found] = await tx.select({ tickets: event.tickets }).from(event).where(eq(event.id, eventId)).for('update')
    const [sold] = await tx.select({ n: count() }).from(ticket).where(eq(ticket.eventId, eventId))
    if ((sold?.n ?? 0) >= (found?.tickets ?? 0)) return { sold: false, attempts: attempt }

    await tx.insert(ticket).values({ eventId, buyer })
    return { sold: true, attempts: attempt }
  })
