import type { Pool } from '@pg-lifeguard/core'
import type { Buy } from '../way.js'

/**
 * RIGHT. FOR UPDATE locks the row of the event until the transaction ends: buyers of one event go one by one. The count
 * is a statement of its own, after the lock is granted: it sees every ticket that was sold before.
 */
export const buyForUpdate: Buy<Pool> = (pool, eventId, buyer) =>
  pool.withTransaction(async (tx) => {
    const event = await tx.query<{ tickets: number }>('select tickets from event where id = $1 for update', [eventId])
    const sold = await tx.query<{ n: number }>('select count(*)::int as n from ticket where event_id = $1', [eventId])
    if ((sold.rows[0]?.n ?? 0) >= (event.rows[0]?.tickets ?? 0)) return { sold: false, attempts: tx.attempt }

    await tx.query('insert into ticket (event_id, buyer) values ($1, $2)', [eventId, buyer])
    return { sold: true, attempts: tx.attempt }
  })
