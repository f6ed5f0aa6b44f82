import type { ServerStats } from '../cluster/events.js'
import type { BreakerStats } from '../resilience/server-breaker.js'
import type { PoolCounts } from '../resource-pool/resource.js'
import { type BesideStats, besideStats } from '../server/beside.js'
import { transactionStates } from '../server/connection-use.js'
import type { ServerRole } from '../server/events.js'
import type { HostCounts } from '../server/metrics.js'
import type { Host } from '../server/server.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/** A connection that is in use now. */
export interface ActiveConnection {
  /** `127.0.0.1:5432`, or the path of a Unix socket. */
  readonly address: string
  readonly role: ServerRole
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
        address: connection.where,
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

/** The pool at one moment, in numbers. */
export interface PoolStats extends Readonly<PoolCounts>, HostCounts {
  readonly name: string
  /** Whether it serves callers now, and if not, why. */
  readonly state: 'open' | 'overloaded' | 'paused' | 'ending'
  /** The most connections that it may have. */
  readonly max: number
  /** Connections that it keeps although nobody uses them. */
  readonly min: number
  /** Connections that it has now, those on their way out included. */
  readonly total: number
  /** Of them, in use. */
  readonly active: number
  /** Of them, ready to be used. */
  readonly idle: number
  /** Connections being opened. */
  readonly connecting: number
  /** Callers that wait for a connection. */
  readonly waiting: number
  /** How long the first of them has waited, in milliseconds. */
  readonly longestWaitMs: number
  /** How long the connection that has been in use for longest has been so, in milliseconds; `0` when none is in use. */
  readonly longestHeldMs: number
  /** Connections on which statements outside of transactions run now, that others may join. */
  readonly lanes: number
  /** Statements that were sent on a connection while others were under way on it, since the pool was made. */
  readonly pipelined: number
  /** How often work was done again, by `withTransaction` and `withOptimisticRetry`. */
  readonly retries: number
  /** Retries that the budget would still allow at once. */
  readonly retryBudget: number
  /**
   * Each host of a pool with replicas, or with several hosts of which the writer is wanted; empty otherwise. The figures
   * above are the primary's.
   */
  readonly servers: readonly ServerStats[]
  /**
   * Sessions beside the pool, of all its hosts: they do not count for `max`, and there is a bound for each use of them.
   * Cancel requests are not among them: they are connections, but no sessions.
   */
  readonly beside: BesideStats
  /** The circuit breaker of the server; undefined when it is off. */
  readonly breaker: BreakerStats | undefined
}

/** Reads them off the parts of a pool. */
export function poolStats(name: string, environment: SessionEnvironment): PoolStats {
  const { cluster, host, retryBudget, counts } = environment
  const { pool } = host
  return {
    name,
    max: pool.max,
    min: pool.min,
    state: pool.isEnding ? 'ending' : pool.isPaused ? 'paused' : pool.isOverloaded ? 'overloaded' : 'open',
    total: pool.total,
    active: pool.active,
    idle: pool.idle,
    connecting: pool.connecting,
    waiting: pool.waiting,
    longestWaitMs: pool.longestWaitMs,
    longestHeldMs: pool.figures().longestHeldMs,
    lanes: host.lanes.inUse,
    pipelined: host.lanes.pipelined,
    retries: counts.retries,
    retryBudget: retryBudget.available,
    servers: cluster?.stats() ?? [],
    beside: besideStats(
      [host, ...(cluster?.readers ?? [])].map(({ beside }) => beside),
      cluster?.watching ?? 0,
    ),
    breaker: host.watch.breaker?.stats(),
    ...host.watch.tally.snapshot(),
    ...pool.counts,
  }
}
