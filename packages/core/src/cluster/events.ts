import type { Emitter } from '../observe/emitter.js'
import type { BreakerStats } from '../resilience/server-breaker.js'
import type { QueryCounts, WaitCounts } from '../server/metrics.js'

/**
 * Why a statement went where it went.
 *
 * On a replica:
 * - `fresh`: it is within the allowed lag, and shows what the line of work has written.
 * - `primary-lost`: it was when the primary was last heard of.
 * - `panic`: every replica has failed lately, and one of them was asked all the same.
 *
 * On the primary:
 * - `not-in-read`: outside of `pool.read()`.
 * - `not-read-only`: the statement writes, locks, or is not known not to.
 * - `under-lock`: the line of work holds an advisory lock, and must see what the last holder wrote.
 * - `no-replica`: there is none, or none could be reached.
 * - `lag`: none is within the allowed lag.
 * - `no-position`: none reports what it shows, as on Amazon Aurora, or the primary does not report where it has written.
 * - `causality`: none showed in time what the line of work has written.
 * - `replicas-failed`: those that were asked failed.
 * - `refused`: a replica refused the statement: it writes, or reads an unlogged table, which has no data there.
 */
export type RouteReason =
  | 'fresh'
  | 'primary-lost'
  | 'panic'
  | 'not-in-read'
  | 'not-read-only'
  | 'under-lock'
  | 'no-replica'
  | 'lag'
  | 'no-position'
  | 'causality'
  | 'replicas-failed'
  | 'refused'

/** Where a statement went, and why. */
export interface RouteEvent {
  /** `127.0.0.1:5432` */
  readonly address: string
  readonly role: 'primary' | 'replica'
  readonly reason: RouteReason
  /** Its SQL, without the values; undefined for a whole transaction. */
  readonly text: string | undefined
}

/** Another server takes the writes. */
export interface FailoverEvent {
  /** The server that took them before. */
  readonly from: string
  readonly to: string
  /** Undefined when the servers do not report it. */
  readonly timeline: number | undefined
}

/** The primary is out of reach, or is none any more. */
export interface PrimaryLostEvent {
  readonly address: string
  readonly error: unknown
}

/** The events of a cluster. */
export interface ClusterEvents {
  route: RouteEvent
  failover: FailoverEvent
  'primary-lost': PrimaryLostEvent
}

/** Their source: an emitter, of these events and maybe others. */
export type ClusterEmitter = Pick<Emitter<ClusterEvents>, 'emit'>

/** One server of a pool, in numbers: what concerns reads is of a pool with replicas. */
export interface ServerStats {
  /** `127.0.0.1:5432` */
  readonly address: string
  /**
   * `unknown` before anything was seen of it, while it cannot be reached, and while others have not been asked yet whether
   * they have taken its place. `replaced`: it takes itself for the primary, and another one has taken its place; it is not
   * used. `foreign`: its database system is another one than the primary's, so it has other data; it is not used either.
   */
  readonly role: 'primary' | 'replica' | 'replaced' | 'foreign' | 'unknown'
  /** Counts up with every promotion; undefined while it is not known. */
  readonly timeline: number | undefined
  /** How old its data is, in milliseconds; undefined while that is not known, and for the primary. */
  readonly lagMs: number | undefined
  /** Bytes of log that it has yet to replay; undefined while that is not known, and for the primary. */
  readonly lagBytes: number | undefined
  /** Its latency for reads, as the balancer sees it, in milliseconds. */
  readonly latencyMs: number
  /** Reads that are being answered. */
  readonly inFlight: number
  /** Statements of `pool.read()` that it was given. */
  readonly reads: number
  /** That, of all those of the pool; 0 to 1. */
  readonly share: number
  /** Whether it is left out for a while because it failed. */
  readonly ejected: boolean
  /** Its circuit breaker: the pool's own for the primary, that of its reads for any other; undefined when it is off. */
  readonly breaker: BreakerStats | undefined
  /** Why it could not be reached at the last probe; undefined when it could. */
  readonly lastError: string | undefined
  /** Connections for reads: open, in use. Those of the primary are the pool's own. */
  readonly total: number
  readonly active: number
  /** How long callers waited for one of them. */
  readonly waits: Pick<WaitCounts, 'durationMs'>
  /** What was run on it as a replica; what is run on the primary is in the pool's own figures. */
  readonly queries: QueryCounts
}
