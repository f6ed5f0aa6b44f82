import pg from 'pg'
import type { Subject } from '../subject.js'

/** A bare `pg.Pool`, with the two timeouts that it has set to the patience of the callers. */
export const pgPool: Subject = {
  name: 'pg.Pool',
  open(url, { max, timeoutMs }) {
    const pool = new pg.Pool({
      connectionString: url,
      max,
      application_name: 'outages',
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
    })
    return {
      query: (text) => pool.query(text),
      async checkOut() {
        const client = await pool.connect()
        const { processID } = client as unknown as { readonly processID: number }
        return { pid: processID, query: (text) => client.query(text), release: () => client.release() }
      },
      async end() {
        await pool.end()
      },
    }
  },
  nameOf: (error) => {
    if (!(error instanceof Error)) return String(error)
    return 'code' in error && error.code !== undefined ? String(error.code) : error.message
  },
  // It does not say; only that it could not connect is certain.
  saysUnsent: (error) =>
    error instanceof Error && (('code' in error && error.code === 'ECONNREFUSED') || /connect/.test(error.message)),
}
