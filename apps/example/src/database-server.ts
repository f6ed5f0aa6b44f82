import { EmbeddedPostgresUnavailableError, startCluster } from '@pg-lifeguard/testing'

/** The PostgreSQL that the demo runs on. */
export interface DatabaseServer extends AsyncDisposable {
  readonly kind: 'embedded' | 'DATABASE_URL'
  readonly url: string
}

/**
 * The server that DATABASE_URL names, or else an embedded one, which takes everything that was in it along when it is
 * disposed.
 */
export async function databaseServer(url: string | undefined, port: number | undefined): Promise<DatabaseServer> {
  if (url === undefined || url === '') return await embeddedServer(port)
  if (port !== undefined) throw new Error('--port is for the embedded PostgreSQL, and DATABASE_URL is set')
  // Whatever it is, it may hold a password: it is not shown.
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new Error('DATABASE_URL is not a URL of PostgreSQL, such as postgres://user:password@host:5432/database')
  }
  return { kind: 'DATABASE_URL', url, [Symbol.asyncDispose]: async () => undefined }
}

async function embeddedServer(port: number | undefined): Promise<DatabaseServer> {
  try {
    const cluster = await startCluster({ handleSignals: true, ...(port === undefined ? {} : { port }) })
    return { kind: 'embedded', url: cluster.url, [Symbol.asyncDispose]: () => cluster.stop() }
  } catch (cause) {
    if (!(cause instanceof EmbeddedPostgresUnavailableError)) throw cause
    const [reason] = cause.message.split(';')
    throw new Error(`${reason}; set DATABASE_URL=postgres://user:password@host:5432/database to use your own`, {
      cause,
    })
  }
}
