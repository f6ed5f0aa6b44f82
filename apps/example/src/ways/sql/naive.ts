import type { Pool } from '@pg-lifeguard/core'
import { payment } from '../payment.js'
import type { Buy } from '../way.js'

/** WRONG. Reads, decides, writes, with nothing in between to stop the others: see ../kysely/naive.ts. */
export const buyNaively: Buy<Pool> = async (pool, eventId, buyer) => {
  const { rows } = await pool.query<{ left: number }>(
    `select tickets - (select count(*)::int from ticket where event_id = $1) as left from event where id = $1`,
    [eventId],
  )
  if ((rows[0]?.left ?? 0) <= 0) return { sold: false, attempts: 1 }

  await payment()
  await pool.query('insert into ticket (event_id, buyer) values ($1, $2)', [eventId, buyer])
  return { sold: true, attempts: 1 }
}
