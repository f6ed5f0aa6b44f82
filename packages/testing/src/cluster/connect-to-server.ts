import { withoutSecrets } from '../without-secrets.js'
import { withAdminClient, withDatabaseName } from './admin-client.js'
import { ServerUnreachableError } from './errors.js'
import { type CreateDatabaseOptions, newDatabase, type TestDatabase } from './test-database.js'

/** A PostgreSQL server that somebody else runs, used the way a cluster's primary is. */
export interface TestServer {
  /** As given. */
  readonly url: string
  /** The url of another database on this server. */
  urlOf(database: string): string
  /**
   * A new database, as Cluster.createDatabase gives it.
   *
   * @throws the driver's error: 42P04 for a name that exists, 3D000 for a template that does not.
   */
  createDatabase(options?: CreateDatabaseOptions): Promise<TestDatabase>
}

/**
 * Uses a server of one's own instead of an embedded one: same databases, no kill(), no replicas. It is never
 * stopped, and only databases made through it are dropped. DATABASE_URL is not read, on purpose: tests must not
 * end up on the database of an application by accident.
 *
 * @param url of any database on the server, for a user who may create databases. @default env LIFEGUARD_TEST_URL
 * @throws ServerUnreachableError when there is no url, no answer, or no right to create databases.
 * @example
 * const server = await connectToServer('postgres://me:secret@localhost:5432/postgres')
 * await using database = await server.createDatabase()
 */
export async function connectToServer(
  url: string | undefined = process.env['LIFEGUARD_TEST_URL'],
): Promise<TestServer> {
  if (url === undefined || url === '') {
    throw new ServerUnreachableError(
      'no url of a server: pass one, or set LIFEGUARD_TEST_URL=postgres://user:password@host:5432/postgres',
    )
  }
  const where = withoutSecrets(url)
  let mayCreate: boolean
  try {
    mayCreate = await withAdminClient(url, async (client) => {
      const { rows } = await client.query<{ may: boolean }>(
        'select rolcreatedb or rolsuper as may from pg_roles where rolname = current_user',
      )
      return rows[0]?.may === true
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause)
    // Node's error for what is no URL has all of it with it.
    const isAboutUrl = cause instanceof Error && 'input' in cause
    throw new ServerUnreachableError(`${where} cannot be used: ${reason}`, isAboutUrl ? undefined : { cause })
  }
  if (!mayCreate)
    throw new ServerUnreachableError(`${where}: this user may not create databases (ALTER ROLE ... CREATEDB)`)
  return {
    url,
    urlOf: (database) => withDatabaseName(url, database),
    createDatabase: (options = {}) => newDatabase({ ...options, adminUrl: url, dropUrl: () => url }),
  }
}
