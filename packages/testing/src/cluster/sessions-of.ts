import { adminApplicationName, withAdminClient } from './admin-client.js'

/** A client session as the server sees it. */
export interface ServerSession {
  readonly pid: number
  readonly database: string
  readonly applicationName: string
  /** `active`, `idle`, `idle in transaction`, ...: pg_stat_activity.state; null when the server does not say. */
  readonly state: string | null
  /** The running query, or the last one. */
  readonly query: string
}

/** Which sessions count. */
export interface SessionsOfOptions {
  /** Only sessions under this application_name. @default all */
  readonly applicationName?: string
}

/**
 * The sessions that clients have on a database right now, without this package's own. Counting them is how a test
 * finds leaked connections: the server cannot be fooled.
 *
 * @throws the driver's error when the server does not answer.
 * @example
 * expect(await sessionsOf(database, { applicationName: 'shop' })).toEqual([])
 */
export async function sessionsOf(
  database: { readonly url: string },
  { applicationName }: SessionsOfOptions = {},
): Promise<ServerSession[]> {
  // Asked from another database: the question must not be a session of the answer.
  const name = decodeURIComponent(new URL(database.url).pathname.slice(1))
  const admin = new URL(database.url)
  admin.pathname = '/postgres'
  return await withAdminClient(admin.href, async (client) => {
    const { rows } = await client.query<ServerSession>(
      `select pid, datname as database, application_name as "applicationName", state, query
         from pg_stat_activity
        where datname = $1 and backend_type = 'client backend' and application_name <> $2
          and ($3::text is null or application_name = $3)
        order by pid`,
      [name, adminApplicationName, applicationName ?? null],
    )
    return rows
  })
}
