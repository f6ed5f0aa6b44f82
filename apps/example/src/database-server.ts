import { createPool } from '@pg-lifeguard/core'
import type { DatabasePlace } from './database-place.js'
import { errorLine } from './error-lines.js'

/** A PostgreSQL that the tickets can be sold on: it has been asked, and has answered. */
export interface DatabaseServer {
  readonly kind: DatabasePlace['kind']
  readonly url: string
  /** Such as `18.4`. */
  readonly version: string
}

/**
 * Asks the server for its version.
 *
 * @throws Error that says in one line why it cannot be used
 */
export async function reachServer(
  kind: DatabaseServer['kind'],
  url: string,
  signal?: AbortSignal,
): Promise<DatabaseServer> {
  try {
    // A server that is not there is not waited for: nobody is restarting it.
    const acquireTimeoutMs = 3_000
    await using pool = createPool({
      connectionString: url,
      name: 'lifeguard-ticket-inspector',
      max: 1,
      acquireTimeoutMs,
    })
    const { rows } = await pool.query<{ server_version: string }>('show server_version', [], { signal })
    return { kind, url, version: rows[0]?.server_version.split(' ')[0] ?? '' }
  } catch (cause) {
    signal?.throwIfAborted()
    if (kind === 'embedded') throw cause
    throw new Error(`DATABASE_URL cannot be used: ${errorLine(cause)}`, { cause })
  }
}
