import { VersionConflictError, withOptimisticRetry, withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. Nobody waits for anybody: read the version, and write only if it is still the same; otherwise somebody was
 * quicker, and the work starts over with fresh figures. The transaction makes the new version and the ticket one: both
 * or none.
 *
 * The first choice when conflicts are rare, or when a person thinks between the read and the write (keep the version in
 * the form). Every writer has to check and raise the version. `attempts` is high because here everybody wants one row.
 */
export const buyOptimistically: Buy<KyselyDb> = (db, eventId, buyer) =>
  withOptimisticRetry(
    db,
    ({ attempt }) =>
      withTransaction(db, async (trx) => {
        const event = await trx
          .selectFrom('event')
          .select(['tickets', 'version'])
          .where('id', '=', eventId)
          .executeTakeFirstOrThrow()
        const { sold } = await trx
          .selectFrom('ticket')
          .select((eb) => eb.fn.countAll<string>().as('sold'))
          .where('event_id', '=', eventId)
          .executeTakeFirstOrThrow()
        if (Number(sold) >= event.tickets) return { sold: false, attempts: attempt }

        const { numUpdatedRows } = await trx
          .updateTable('event')
          .set({ version: event.version + 1 })
          .where('id', '=', eventId)
          .where('version', '=', event.version)
          .executeTakeFirst()
        if (numUpdatedRows === 0n) throw new VersionConflictError(`event ${eventId}`)
        await trx.insertInto('ticket').values({ event_id: eventId, buyer }).execute()
        return { sold: true, attempts: attempt }
      }),
    { attempts: 1_000, backoff: { capMs: 100 } },
  )
