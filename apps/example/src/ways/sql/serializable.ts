import type { Pool } from '@pg-lifeguard/core'
import type { Buy } from '../way.js'

/**
 * RIGHT. No lock at all: PostgreSQL undoes one of two transactions that could not have happened one after the other
 * (SQLSTATE 40001), and withTransaction runs the function again. `attempts` is high because here 500 buyers fight for
 * one number; the default is plenty for most work.
 */
export const buySerializable: Buy<Pool> = (pool, eventId, buyer) =>
  pool.withTransaction(
    async (tx) => {
      const { rows } = await tx.query<{ left: number }>(
        `select tickets - (select count(*)::int from ticket where event_id = $1) as left from event where id = $1`,
        [eventId],
      )
      if ((rows[0]?.left ?? 0) <= 0) return { sold: false, attempts: tx.attempt }

      await tx.query('insert into ticket (event_id, buyer) values ($1, $2)', [eventId, buyer])
      return { sold: true, attempts: tx.attempt }
    },
    { isolation: 'serializable', retry: { attempts: 1_000, backoff: { capMs: 100 } } },
  )
