import { withTransaction } from '@pg-lifeguard/drizzle'
import { count, eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { event, ticket } from '../../schema/drizzle-tables.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. No lock at all: PostgreSQL undoes one of two transactions that could not have happened one after the other
 * (SQLSTATE 40001), and withTransaction runs the function again. `attempts` is high because here 500 buyers fight for
 * one number; the default is plenty for most work.
 */
export const buySerializable: Buy<DrizzleDb> = (db, eventId, buyer) =>
  withTransaction(
    db,
    async (tx, { attempt }) => {
      const [found] = await tx.select({ tickets: event.tickets }).from(event).where(eq(event.id, eventId))
      const [sold] = await tx.select({ n: count() }).from(ticket).where(eq(ticket.eventId, eventId))
      if ((sold?.n ?? 0) >= (found?.tickets ?? 0)) return { sold: false, attempts: attempt }

      await tx.insert(ticket).values({ eventId, buyer })
      return { sold: true, attempts: attempt }
    },
    { isolation: 'serializable', retry: { attempts: 1_000, backoff: { capMs: 100 } } },
  )
