import pg from 'pg'
import { InvalidOptionError } from '../errors/invalid-option-error.js'

/** Host and port that a configuration leads to, as `pg` itself reads it, for messages. Never the user or password. */
export function whereTo(config: pg.ClientConfig): string {
  const { host, port } = neverConnected(config)
  return host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`
}

/** The database and the user that a configuration leads to, each with its server. */
export function whoseAt(config: pg.ClientConfig): { readonly database: string; readonly user: string } {
  const { host, port, database, user } = neverConnected(config)
  return { database: `${host}:${port}/${database}`, user: `${user}@${host}:${port}` }
}

/** A client that is not connected opens nothing; it is the one that knows how URL, fields and environment combine. */
function neverConnected(config: pg.ClientConfig): pg.Client {
  try {
    return new pg.Client(config)
  } catch (error) {
    // What is wrong is said without the URL, which may hold a password; so is no cause kept, which repeats it.
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    const what = code === 'ERR_INVALID_URL' || code === undefined ? 'not a valid URL' : `refused (${code})`
    throw new InvalidOptionError('connectionString', what, 'postgres://user:password@host:port/database?sslmode=...')
  }
}
