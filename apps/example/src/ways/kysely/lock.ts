import { withLock } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. An advisory lock has a name of your choice, needs no row, and holds over all processes that use the database.
 * It is given back when the function ends, however it ends, and by the server itself when the process dies.
 *
 * The first choice when the work is more than SQL: call a payment service, write a file, send one mail. Hand `signal`
 * on to such work: it aborts if the lock is lost. Buyers that wait queue in the pool and take no connection each.
 */
export const buyWithLock: Buy<KyselyDb> = (db, eventId, buyer) =>
  withLock(db, `event:${eventId}`, async ({ signal }) => {
    const { tickets } = await db
      .selectFrom('event')
      .select('tickets')
      .where('id', '=', eventId)
      .executeTakeFirstOrThrow()
    const { sold } = await db
      .selectFrom('ticket')
      .select((eb) => eb.fn.countAll<string>().as('sold'))
      .where('event_id', '=', eventId)
      .executeTakeFirstOrThrow()
    if (Number(sold) >= tickets) return { sold: false, attempts: 1 }

    signal.throwIfAborted()
    await db.insertInto('ticket').values({ event_id: eventId, buyer }).execute()
    return { sold: true, attempts: 1 }
  })
