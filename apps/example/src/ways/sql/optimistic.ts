import { type Pool, VersionConflictError } from '@pg-lifeguard/core'
import type { Buy } from '../way.js'

/**
 * RIGHT. Nobody waits for anybody: read the version, and write only if it is still the same; otherwise somebody was
 * quicker, and the work starts over with fresh figures. The transaction makes the new version and the ticket one.
 */
export const buyOptimistically: Buy<Pool> = (pool, eventId, buyer) =>
  pool.withOptimisticRetry(
    ({ attempt }) =>
      pool.withTransaction(async (tx) => {
        const { rows } = await tx.query<{ left: number; version: number }>(
          `select version, tickets - (select count(*)::int from ticket where event_id = $1) as left
             from event where id = $1`,
          [eventId],
        )
        const [event] = rows
        if (event === undefined || event.left <= 0) return { sold: false, attempts: attempt }

        const { rowCount } = await tx.query('update event set version = version + 1 where id = $1 and version = $2', [
          eventId,
          event.version,
        ])
        if (rowCount === 0) throw new VersionConflictError(`event ${eventId}`)
        await tx.query('insert into ticket (event_id, buyer) values ($1, $2)', [eventId, buyer])
        return { sold: true, attempts: attempt }
      }),
    { attempts: 1_000, backoff: { capMs: 100 } },
  )
