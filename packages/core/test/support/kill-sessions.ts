import pg from 'pg'
import type { Pool } from '../../src/index.js'
import { eventually } from './test-pool.js'

/** Ends every session of a database on the server, and waits until a pool has no idle one there. */
export async function killSessions(url: string, pool: Pool): Promise<void> {
  const admin = new pg.Client(url)
  await admin.connect()
  try {
    await eventually('the dead are gone', async () => {
      // Again, as one that was being opened may come to life after the others have died.
      await admin.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
      return pool.stats().pool.idle === 0
    })
  } finally {
    await admin.end()
  }
}
