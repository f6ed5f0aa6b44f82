import type { Pool } from '@pg-lifeguard/core'
import type { Publish } from './publish.js'

/**
 * RIGHT. `signal` stops the work when the lock is lost. For a holder that does not notice, because it is stuck, there
 * is the fencing token: whoever got the lock later has a greater one, and the row remembers the greatest.
 */
export const publish: Publish<Pool> = (pool, draft) =>
  pool.withLock('report', async ({ signal, fencingToken: { timeline, xid } }) => {
    const body = await draft(signal)
    const { rowCount } = await pool.query(
      `update report set body = $1, timeline = $2, xid = $3 where name = 'report' and (timeline, xid) < ($2, $3)`,
      [body, timeline, xid],
    )
    return rowCount === 1
  })
