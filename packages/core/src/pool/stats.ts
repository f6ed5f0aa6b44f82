import type { ServerStats } from '../cluster/events.js'
import { type BesideStats, besideStats } from '../server/beside.js'
import { transactionStates } from '../server/connection-use.js'
import type { ServerRole } from '../server/events.js'
import { type QueryCounts, ServerCounters, type WaitCounts } from '../server/metrics.js'
import type { Server } from '../server/server.js'
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
  /** What the server has last reported of its transaction. */
  readonly transaction: 'none' | 'open' | 'failed'
  /** The lines of the program that have acquired it; undefined unless `leakDetectionMs` is set. */
  readonly acquireStack: string | undefined
}

/** The body of `pool.active`. */
export function activeConnections(environment: SessionEnvironment): ActiveConnection[] {
  const found = serversOf(environment).flatMap((server) =>
    [...server.pool.busy()].map((slot): ActiveConnection => {
      const { resource: connection, waitedMs, acquireStack } = slot
      return {
        address: connection.address,
        role: server.observer.role,
        pid: connection.pid,
        heldMs: server.pool.heldMs(slot),
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

/** The connections of a pool: now, and since the pool was made. */
export interface ConnectionStats {
  /** The most that it may have. */
  readonly max: number
  /** Those that it keeps although nobody uses them. */
  readonly min: number
  /** Those that it has now, with those being closed. */
  readonly total: number
  /** Of them, in use. */
  readonly active: number
  /** Of them, ready to be used. */
  readonly idle: number
  /** Those being opened; they are not in `total` yet. */
  readonly connecting: number
  /** Those on which statements outside of transactions run now, that others may join. */
  readonly shared: number
  /** How long the one that has been in use for longest has been so, in milliseconds; `0` when none is in use. */
  readonly longestHeldMs: number
  /** How many were opened since the pool was made. */
  readonly opened: number
  /** How many were closed since then, for whatever reason. */
  readonly closed: number
  /** How many attempts to connect failed. */
  readonly connectFailed: number
  /** How often one was acquired. */
  readonly acquired: number
  /** How often one was released. */
  readonly released: number
  /** How many failed their validation. */
  readonly failedValidation: number
  /** How many were held for longer than `leakDetectionMs`. */
  readonly leaks: number
}

/** The callers that want a connection: now, and since the pool was made. */
export interface WaitStats extends WaitCounts {
  /** Those that wait now. */
  readonly waiting: number
  /** How long the first of them has waited, in milliseconds; `0` when nobody waits. */
  readonly longestMs: number
}

/** The statements since the pool was made. */
export interface QueryStats extends QueryCounts {
  /** Those that were sent on a connection while others were under way on it. */
  readonly pipelined: number
}

/** The pool at one moment, in numbers, each of them once. Those of a pool with replicas are the primary's. */
export interface PoolStats {
  readonly name: string
  /** Whether it serves callers now, and if not, why. */
  readonly state: 'open' | 'overloaded' | 'paused' | 'ending'
  /** Its connections. */
  readonly pool: ConnectionStats
  /** Its callers. */
  readonly waits: WaitStats
  /** Its statements. */
  readonly queries: QueryStats
  /** How often work was done again since the pool was made, by `withTransaction` and `withOptimisticRetry`. */
  readonly retries: number
  /** Retries that the budget would still allow at once. */
  readonly retryBudget: number
  /**
   * Each server of a pool with replicas, or with several hosts of which the writer is wanted, the primary among them; the
   * one that it connects to otherwise.
   */
  readonly servers: readonly ServerStats[]
  /**
   * Sessions beside the pool, to all its servers: they do not count for `max`, and each use of them has a bound.
   * Cancel requests are not among them: they are connections, but no sessions.
   */
  readonly beside: BesideStats
}

/** The servers that the pool has connections to: that of its own, and those that are read from. */
export function serversOf({ server, cluster }: Pick<SessionEnvironment, 'server' | 'cluster'>): readonly Server[] {
  return [server, ...(cluster?.readers ?? [])]
}

/** That of a pool that reads from no other: what runs on it is in the pool's own figures. */
function onlyServer({ address, observer }: Server): ServerStats {
  const { waits, queries } = new ServerCounters().snapshot()
  return {
    address,
    role: observer.role,
    timeline: undefined,
    lagMs: undefined,
    lagBytes: undefined,
    latencyMs: 0,
    inFlight: 0,
    reads: 0,
    share: 0,
    ejected: false,
    breaker: observer.breaker?.stats(),
    lastError: undefined,
    total: 0,
    active: 0,
    waits: { durationMs: waits.durationMs },
    queries,
  }
}

/** The body of `pool.stats`. */
export function poolStats(name: string, environment: SessionEnvironment): PoolStats {
  const { cluster, server, retryBudget, counts } = environment
  const { pool } = server
  const { opened, closed, connectFailed, acquired, released, failedValidation, leaks } = pool.counts
  const { waits, queries } = server.observer.counters.snapshot()
  return {
    name,
    state: pool.isEnding ? 'ending' : pool.isPaused ? 'paused' : pool.isOverloaded ? 'overloaded' : 'open',
    pool: {
      max: pool.max,
      min: pool.min,
      total: pool.total,
      active: pool.active,
      idle: pool.idle,
      connecting: pool.connecting,
      shared: server.pipelining.inUse,
      longestHeldMs: pool.figures().longestHeldMs,
      opened,
      closed,
      connectFailed,
      acquired,
      released,
      failedValidation,
      leaks,
    },
    waits: { waiting: pool.waiting, longestMs: pool.longestWaitMs, ...waits },
    queries: { ...queries, pipelined: server.pipelining.pipelined },
    retries: counts.retries,
    retryBudget: retryBudget.available,
    servers: cluster?.stats() ?? [onlyServer(server)],
    beside: besideStats(
      serversOf(environment).map(({ beside }) => beside),
      cluster?.watching ?? 0,
    ),
  }
}
