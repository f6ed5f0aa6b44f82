import { afterAll, afterEach, expect } from 'vitest'
import { createPool, type Pool } from '../../src/index.js'
import { endPools, eventually } from './test-pool.js'

/** A second view on the database, by a pool that takes no locks itself. */
export interface LockWatcher {
  readonly pool: Pool
  /** Advisory locks that are held now. */
  held(): Promise<number>
  /** Advisory locks that are waited for now. */
  waiting(): Promise<number>
}

/** Watches the locks of the file's database, and fails each test that leaves one, or an unhandled rejection. */
export function watchLocks(database: { readonly url: string }): LockWatcher {
  let made: Pool | undefined
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  const count = async (granted: boolean): Promise<number> => {
    const { rows } = await watcher.pool.query<{ n: number }>(
      "select count(*)::int as n from pg_locks where locktype = 'advisory' and granted = $1 and database = (select oid from pg_database where datname = current_database())",
      [granted],
    )
    return rows[0]?.n ?? -1
  }
  const watcher: LockWatcher = {
    get pool() {
      made ??= createPool({ connectionString: database.url, max: 1, name: 'watcher' })
      return made
    },
    held: () => count(true),
    waiting: () => count(false),
  }
  afterEach(async () => {
    try {
      await eventually('no lock is left', async () => (await watcher.held()) === 0)
      expect(unhandled).toEqual([])
    } finally {
      // Else the locks of a test that failed would be those of the next one, too.
      await endPools()
    }
  })
  afterAll(async () => {
    process.off('unhandledRejection', note)
    await made?.end()
  })
  return watcher
}
