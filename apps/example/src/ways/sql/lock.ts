import type { Pool } from '@pg-lifeguard/core'
import type { Buy } from '../way.js'

/**
 * RIGHT. An advisory lock has a name of your choice, needs no row, and holds over all processes that use the database:
 * the first choice when the work is more than SQL. Hand `signal` on to such work: it aborts if the lock is lost.
 */
export const buyWithLock: Buy<Pool> = (pool, eventId, buyer) =>
  pool.withLock(`event:${eventId}`, async ({ signal }) => {
    const { rows } = await pool.query<{ left: number }>(
      `select tickets - (select count(*)::int from ticket where event_id = $1) as left from event where id = $1`,
      [eventId],
    )
    if ((rows[0]?.left ?? 0) <= 0) return { sold: false, attempts: 1 }

    signal.throwIfAborted()
    await pool.query('insert into ticket (event_id, buyer) values ($1, $2)', [eventId, buyer])
    return { sold: true, attempts: 1 }
  })
