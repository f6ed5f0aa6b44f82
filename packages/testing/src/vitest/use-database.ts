import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, inject } from 'vitest'
import { withAdminClient } from '../cluster/admin-client.js'
import { LeftoverSessionsError } from '../cluster/errors.js'
import { type ServerSession, sessionsOf } from '../cluster/sessions-of.js'
import { newDatabase, type TestDatabase } from '../cluster/test-database.js'
import { waitUntil } from '../cluster/wait-until.js'
import { serverOfWorker } from './provided-server.js'
import { templateFor } from './template.js'

/** What the database of a test file starts with, and how it ends. */
export interface UseDatabaseOptions {
  /**
   * SQL, run once per run into a template that each file's database is copied from; or a function, run in each file's
   * database with a connected client.
   * @default an empty database
   */
  readonly setup?: string | ((client: pg.Client) => Promise<void>)
  /**
   * Whether sessions that are still on the database after the last test are fine. If not, the file fails and names
   * them: that is how leaked connections are found.
   * @default false
   */
  readonly allowLeftoverSessions?: boolean
  /** How long sessions may take to end after the last test, in milliseconds. @default 2000 */
  readonly leftoverTimeoutMs?: number
}

/** The database of a test file; its members can be read from beforeAll on. */
export interface UsedDatabase {
  readonly url: string
  readonly name: string
}

/**
 * Gives this test file a database of its own, before its tests and gone after them. Call it at the top level of the
 * file or of a describe, before other hooks: vitest runs afterAll hooks in reverse order, so the pools of the file
 * are closed by then.
 *
 * @throws Error when the global set-up is missing; the file fails with LeftoverSessionsError (SESSIONS_LEFT) when
 * connections were leaked.
 * @example
 * const database = useDatabase({ setup: 'create table item (id int primary key)' })
 * test('inserts', async () => {
 *   const client = new pg.Client(database.url)
 * })
 */
export function useDatabase(options: UseDatabaseOptions = {}): UsedDatabase {
  const { setup, allowLeftoverSessions = false, leftoverTimeoutMs = 2_000 } = options
  let database: TestDatabase | undefined
  const get = (): TestDatabase => {
    if (database !== undefined) return database
    throw new Error('useDatabase(): the database exists only while tests and their hooks run; read `url` inside them')
  }

  beforeAll(async () => {
    const provided = inject('lifeguard')
    if (provided === undefined) {
      throw new Error(
        "useDatabase() needs globalSetup: ['@pg-lifeguard/testing/vitest-global-setup'] in the vitest configuration",
      )
    }
    const server = serverOfWorker(provided)
    const template = typeof setup === 'string' ? await templateFor(server, setup) : undefined
    database = await newDatabase({
      adminUrl: server.url,
      dropUrl: () => server.url,
      name: `${server.prefix}${randomBytes(6).toString('hex')}`,
      ...(template === undefined ? {} : { template }),
    })
    if (typeof setup === 'function') await withAdminClient(database.url, setup)
  })

  afterAll(async () => {
    if (database === undefined) return
    try {
      if (!allowLeftoverSessions) await mustHaveNoSessions(database, leftoverTimeoutMs)
    } finally {
      await database.drop()
    }
  })

  return {
    get url() {
      return get().url
    },
    get name() {
      return get().name
    },
  }
}

/** A server session ends a moment after its client has closed the socket. */
async function mustHaveNoSessions(database: TestDatabase, timeoutMs: number): Promise<void> {
  let left: readonly ServerSession[] = []
  const none = await waitUntil(
    async () => {
      left = await sessionsOf(database)
      return left.length === 0 ? true : undefined
    },
    { timeoutMs },
  )
  if (none === undefined) throw new LeftoverSessionsError(left, timeoutMs)
}
