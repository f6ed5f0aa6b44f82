import { VersionConflictError, withOptimisticRetry, withTransaction } from '@pg-lifeguard/drizzle'
import { and, count, eq } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { event, ticket } from '../../schema/drizzle-tables.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. Nobody waits for anybody: read the version, and write only if it is still the same; otherwise somebody was
 * quicker, and the work starts over with fresh figures. The transaction makes the new version and the ticket one.
 */
export const buyOptimistically: Buy<DrizzleDb> = (db, eventId, buyer) =>
  withOptimisticRetry(
    db,
    ({ attempt }) =>
      withTransaction(db, async (tx) => {
        const [found] = await tx.select().from(event).where(eq(event.id, eventId))
        const [sold] = await tx.select({ n: count() }).from(ticket).where(eq(ticket.eventId, eventId))
        if (found === undefined || (sold?.n ?? 0) >= found.tickets) return { sold: false, attempts: attempt }

        const { rowCount } = await tx
          .update(event)
          .set({ version: found.version + 1 })
          .where(and(eq(event.id, eventId), eq(event.version, found.version)))
        if (rowCount === 0) throw new VersionConflictError(`event ${eventId}`)
        await tx.insert(ticket).values({ eventId, buyer })
        return { sold: true, attempts: attempt }
      }),
    { attempts: 1_000, backoff: { capMs: 100 } },
  )
