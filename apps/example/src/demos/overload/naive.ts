import pg from 'pg'

/** A bare pg.Pool with both its timeouts set to the patience of the callers. */
export function openBarePool(connectionString: string, max: number, patienceMs: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    connectionTimeoutMillis: patienceMs,
    query_timeout: patienceMs,
  })
  pool.on('error', () => undefined)
  return pool
}

export async function askBarePool(pool: pg.Pool, queryMs: number): Promise<void> {
  await pool.query('select pg_sleep($1)', [queryMs / 1_000])
}
