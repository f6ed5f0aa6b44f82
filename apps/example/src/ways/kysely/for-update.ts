import { withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. FOR UPDATE locks the row of the event until the transaction ends, so buyers of one event go one by one, and
 * buyers of different events do not wait for each other. The count is a statement of its own, after the lock is
 * granted: it sees every ticket that was sold before.
 *
 * The first choice when what has to be protected hangs on a row. Every buyer has to lock that same row first.
 */
export const buyForUpdate: Buy<KyselyDb> = (db, eventId, buyer) =>
  withTransaction(db, async (trx, { attempt }) => {
    const event = await trx
      .selectFrom('event')
      .select('tickets')
      .where('id', '=', eventId)
      .forUpdate()
      .executeTakeFirstOrThrow()
    const { sold } = await trx
      .selectFrom('ticket')
      .select((eb) => eb.fn.countAll<string>().as('sold'))
      .where('event_id', '=', eventId)
      .executeTakeFirstOrThrow()
    if (Number(sold) >= event.tickets) return { sold: false, attempts: attempt }

    await trx.insertInto('ticket').values({ event_id: eventId, buyer }).execute()
    return { sold: true, attempts: attempt }
  })
