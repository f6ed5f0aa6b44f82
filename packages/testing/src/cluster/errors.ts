import { logWithoutSecrets } from '../without-secrets.js'
import type { ServerSession } from './sessions-of.js'

/** The codes of the errors of this package. They are part of the public API and do not change. */
export type ClusterErrorCode =
  | 'EMBEDDED_POSTGRES_UNAVAILABLE'
  | 'CLUSTER_START_FAILED'
  | 'PORT_IN_USE'
  | 'SERVER_OPERATION_FAILED'
  | 'SERVER_UNREACHABLE'
  | 'SESSIONS_LEFT'

/**
 * What every error of the cluster half has in common: a stable `code`, and the `cause` where there is one.
 *
 * @example
 * try {
 *   await startCluster()
 * } catch (error) {
 *   if (error instanceof ClusterError) console.error(error.code, error.message)
 *   throw error
 * }
 */
export abstract class ClusterError extends Error {
  abstract readonly code: ClusterErrorCode
}

/** What an error that comes from a server carries besides its message. */
export interface LogTailOptions {
  /** The error underneath. */
  readonly cause?: unknown
  /** The last lines of the server's log, oldest first; they are appended to the message. @default [] */
  readonly log?: readonly string[]
}

function withLogTail(message: string, log: readonly string[]): string {
  return log.length === 0 ? message : `${message}\nlast lines of the server log:\n  ${log.join('\n  ')}`
}

/**
 * There are no PostgreSQL binaries for this platform, or they do not run on it.
 * The message says how to point at a server of one's own.
 *
 * @example
 * const server = await startCluster().catch((error) => {
 *   if (error instanceof EmbeddedPostgresUnavailableError) return connectToServer()
 *   throw error
 * })
 */
export class EmbeddedPostgresUnavailableError extends ClusterError {
  override readonly name = 'EmbeddedPostgresUnavailableError'
  readonly code = 'EMBEDDED_POSTGRES_UNAVAILABLE'

  constructor(reason: string, options: { readonly cause?: unknown } = {}) {
    super(
      `embedded PostgreSQL is unavailable: ${reason}; use a server of your own: set LIFEGUARD_TEST_URL=postgres://user:password@host:5432/postgres for the vitest set-up, or call connectToServer(url)`,
      options,
    )
  }
}

/**
 * The cluster did not come up; whatever had been started is stopped and removed by the time this is thrown.
 *
 * @example
 * await startCluster({ settings: { max_connections: 'many' } }).catch((error) => {
 *   if (error instanceof ClusterStartError) console.error(error.log)
 * })
 */
export class ClusterStartError extends ClusterError {
  override readonly name = 'ClusterStartError'
  readonly code = 'CLUSTER_START_FAILED'
  /** The last lines of the log of the server that failed, oldest first. */
  readonly log: readonly string[]

  constructor(message: string, options: LogTailOptions = {}) {
    super(withLogTail(message, logWithoutSecrets(options.log ?? [])), options)
    this.log = logWithoutSecrets(options.log ?? [])
  }
}

/**
 * The `port` asked for is taken.
 *
 * @example
 * await startCluster({ port: 5432 }).catch((error) => {
 *   if (error instanceof PortInUseError) console.error(`stop what listens on ${error.port}`)
 * })
 */
export class PortInUseError extends ClusterError {
  override readonly name = 'PortInUseError'
  readonly code = 'PORT_IN_USE'
  /** The port that is taken. */
  readonly port: number

  constructor(port: number, options: { readonly cause?: unknown } = {}) {
    super(
      `port ${port} on 127.0.0.1 is in use: stop what listens there, or leave \`port\` out to get a free one`,
      options,
    )
    this.port = port
  }
}

/**
 * Something asked of a running cluster failed: start, stop, kill, promote, pause, or the cleaning up.
 *
 * @example
 * await cluster.primary.promote().catch((error) => {
 *   if (error instanceof ServerOperationError) console.error(error.message) // a primary cannot be promoted
 * })
 */
export class ServerOperationError extends ClusterError {
  override readonly name = 'ServerOperationError'
  readonly code = 'SERVER_OPERATION_FAILED'
  /** The last lines of the server's log, oldest first. */
  readonly log: readonly string[]

  constructor(message: string, options: LogTailOptions = {}) {
    super(withLogTail(message, logWithoutSecrets(options.log ?? [])), options)
    this.log = logWithoutSecrets(options.log ?? [])
  }
}

/**
 * A server of one's own cannot be used: no url given, no answer, wrong password, or no right to create databases.
 *
 * @example
 * await connectToServer('postgres://localhost:1/postgres').catch((error) => {
 *   if (error instanceof ServerUnreachableError) console.error(error.message)
 * })
 */
export class ServerUnreachableError extends ClusterError {
  override readonly name = 'ServerUnreachableError'
  readonly code = 'SERVER_UNREACHABLE'
}

/**
 * Sessions were still on the database of a test file after its last test: connections were leaked.
 *
 * @example
 * // LeftoverSessionsError: 1 session(s) still on lifeguard_1f... 2000 ms after the last test:
 * //   pid 4711 'shop' idle in transaction: update item set ...
 */
export class LeftoverSessionsError extends ClusterError {
  override readonly name = 'LeftoverSessionsError'
  readonly code = 'SESSIONS_LEFT'
  /** Who is still connected. */
  readonly sessions: readonly ServerSession[]

  constructor(sessions: readonly ServerSession[], waitedMs: number) {
    const lines = sessions.map(
      ({ pid, applicationName, state, query }) => `  pid ${pid} '${applicationName}' ${state}: ${query.slice(0, 200)}`,
    )
    super(
      `${sessions.length} session(s) still on ${sessions[0]?.database} ${waitedMs} ms after the last test; close what opened them, or set allowLeftoverSessions:\n${lines.join('\n')}`,
    )
    this.sessions = sessions
  }
}
