import type { KyselyDb } from '../../clients.js'
import { payment } from '../payment.js'
import type { Buy } from '../way.js'

/**
 * WRONG. Reads, decides, writes, with nothing in between to stop the others: whoever counts before somebody else's
 * insert is committed sees a free ticket that is already gone. It passes every test that has one buyer at a time.
 *
 * Wrapping it in a plain transaction does not help: at PostgreSQL's default, read committed, two transactions still
 * count the same tickets. https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
 */
export const buyNaively: Buy<KyselyDb> = async (db, eventId, buyer) => {
  const { tickets } = await db.selectFrom('event').select('tickets').where('id', '=', eventId).executeTakeFirstOrThrow()
  const { sold } = await db
    .selectFrom('ticket')
    .select((eb) => eb.fn.countAll<string>().as('sold'))
    .where('event_id', '=', eventId)
    .executeTakeFirstOrThrow()
  if (Number(sold) >= tickets) return { sold: false, attempts: 1 }

  await payment()
  await db.insertInto('ticket').values({ event_id: eventId, buyer }).execute()
  return { sold: true, attempts: 1 }
}
