import { withLock } from '@pg-lifeguard/kysely'
import { sql } from 'kysely'
import type { KyselyDb } from '../../clients.js'
import type { Publish } from './publish.js'

/**
 * RIGHT. `signal` stops the work when the lock is lost. For a holder that does not hear of it, because it is stuck, there
 * is the fencing token: whoever got the lock later has a greater one, and the row remembers the greatest.
 */
export const publish: Publish<KyselyDb> = (db, draft) =>
  withLock(db, 'report', async ({ signal, fencingToken: { timeline, xid } }) => {
    const body = await draft(signal)
    const { numUpdatedRows } = await db
      .updateTable('report')
      .set({ body, timeline, xid: xid.toString() })
      .where('name', '=', 'report')
      .where(sql<boolean>`(timeline, xid) < (${timeline}, ${xid})`)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  })
