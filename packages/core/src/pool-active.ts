import { transactionStates } from './host/connection-use.js'
import type { Host } from './host/host.js'
import type { HostRole } from './host/host-events.js'

/** A connection that is in use now. */
export interface ActiveConnection {
  /** `127.0.0.1:5432`, or the path of a Unix socket. */
  readonly host: string
  readonly role: HostRole
  /** Process id of its backend, as in `pg_stat_activity`. */
  readonly pid: number
  /** How long it has been in use, in milliseconds. */
  readonly heldMs: number
  /** How long its user had waited for it, in milliseconds. */
  readonly waitedMs: number
  /** The SQL text that the server is at work on, without its values; undefined while nothing runs. */
  readonly text: string | undefined
  /** For how long that has been so, in milliseconds; `0` while nothing runs. */
  readonly runningMs: number
  /** Statements that have been sent or wait on it, that one included: more than one where statements share it. */
  readonly statements: number
  /** What the server said last of its transaction. */
  readonly transaction: 'none' | 'open' | 'failed'
  /** The lines of the program that have taken it; undefined unless `leakDetectionMs` is set. */
  readonly acquireStack: string | undefined
}

/** Those that are in use, the one that has been so for longest first. */
export function activeConnections(hosts: readonly Host[]): ActiveConnection[] {
  const found = hosts.flatMap((host) =>
    [...host.pool.busy()].map((slot): ActiveConnection => {
      const { resource: connection, waitedMs, acquireStack } = slot
      return {
        host: connection.where,
        role: host.watch.role,
        pid: connection.pid,
        heldMs: host.pool.heldMs(slot),
        waitedMs,
        text: connection.runningText,
        runningMs: connection.headRanMs,
        statements: connection.load,
        transaction: transactionStates[connection.status],
        acquireStack,
      }
    }),
  )
  return found.sort((one, other) => other.heldMs - one.heldMs)
}
