import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'

/** Looks at the sessions of pools by their name, on a connection of its own to the file's database. */
export interface SessionWatch {
  readonly admin: pg.Client
  /** How many sessions have this name now. */
  count(name: string): Promise<number>
  /**
   * The most sessions of this name that were seen at any time of the work.
   *
   * @param onEach runs after each look
   */
  mostDuring(name: string, work: () => Promise<unknown>, onEach?: () => void): Promise<number>
}

/** Watches the sessions of a file's database, for as long as its tests run. */
export function watchSessions(database: { readonly url: string }): SessionWatch {
  let admin: pg.Client | undefined
  beforeAll(async () => {
    admin = new pg.Client(database.url)
    await admin.connect()
  })
  afterAll(() => admin?.end())
  const watch: SessionWatch = {
    get admin() {
      if (admin === undefined) throw new Error('the connection exists only while tests and their hooks run')
      return admin
    },
    async count(name) {
      const { rows } = await watch.admin.query<{ n: number }>(
        'select count(*)::int as n from pg_stat_activity where application_name = $1',
        [name],
      )
      return rows[0]?.n ?? 0
    },
    async mostDuring(name, work, onEach = () => undefined) {
      let most = 0
      let isOver = false
      const watching = (async () => {
        while (!isOver) {
          most = Math.max(most, await watch.count(name))
          onEach()
        }
      })()
      try {
        await work()
      } finally {
        isOver = true
        await watching
      }
      return most
    },
  }
  return watch
}
