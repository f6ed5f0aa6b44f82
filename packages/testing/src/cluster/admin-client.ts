import pg from 'pg'

/** The name under which this package's own sessions appear in pg_stat_activity. */
export const adminApplicationName = 'lifeguard-testing'

/** Runs something on a session of its own, which has ended when this resolves. */
export async function withAdminClient<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: adminApplicationName,
    connectionTimeoutMillis: 10_000,
  })
  // A server that dies under the session: the running query rejects with it, and that is enough.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

/** The same server, another database. */
export function withDatabaseName(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.href
}
