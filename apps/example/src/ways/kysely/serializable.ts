import { withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. No lock at all: PostgreSQL watches what each transaction has read, and undoes one of two that could not have
 * happened one after the other (SQLSTATE 40001). That is a normal event, not a failure: withTransaction runs the
 * function again, so it must do nothing but SQL, or something that may be done twice.
 *
 * The first choice when the rule spans many rows or tables. Every writer has to be serializable too.
 * `attempts` is high because here 500 buyers fight for one number; the default of 10 is plenty for most work.
 */
export const buySerializable: Buy<KyselyDb> = (db, eventId, buyer) =>
  withTransaction(
    db,
    async (trx, { attempt }) => {
      const { tickets } = await trx
        .selectFrom('event')
        .select('tickets')
        .where('id', '=', eventId)
        .executeTakeFirstOrThrow()
      const { sold } = await trx
        .selectFrom('ticket')
        .select((eb) => eb.fn.countAll<string>().as('sold'))
        .where('event_id', '=', eventId)
        .executeTakeFirstOrThrow()
      if (Number(sold) >= tickets) return { sold: false, attempts: attempt }

      await trx.insertInto('ticket').values({ event_id: eventId, buyer }).execute()
      return { sold: true, attempts: attempt }
    },
    { isolation: 'serializable', retry: { attempts: 1_000, backoff: { capMs: 100 } } },
  )
