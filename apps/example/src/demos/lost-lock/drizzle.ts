import { withLock } from '@pg-lifeguard/drizzle'
import { and, eq, sql } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { report } from '../../schema/drizzle-tables.js'
import type { Publish } from './publish.js'

/**
 * RIGHT. `signal` stops the work when the lock is lost. For a holder that does not hear of it, because it is stuck, there
 * is the fencing token: whoever got the lock later has a greater one, and the row remembers the greatest.
 */
export const publish: Publish<DrizzleDb> = (db, draft) =>
  withLock(db, 'report', async ({ signal, fencingToken: { timeline, xid } }) => {
    const body = await draft(signal)
    const isEarlier = sql`(${report.timeline}, ${report.xid}) < (${timeline}, ${xid})`
    const { rowCount } = await db
      .update(report)
      .set({ body, timeline, xid })
      .where(and(eq(report.name, 'report'), isEarlier))
    return rowCount === 1
  })
