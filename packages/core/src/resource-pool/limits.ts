import type { Duration, InMs } from '../deadline/duration.js'
import { defaultOverload, type OverloadOptions, type ResolvedOverload } from '../resilience/codel.js'

/** Sizes and times of the pool. Durations are numbers of milliseconds, or texts such as '15s'. */
export interface PoolLimits {
  /**
   * Most connections open at the same time, `1` or more. A little above the number of cores of the server is often
   * best: https://wiki.postgresql.org/wiki/Number_Of_Database_Connections Sessions beside the pool, such as that of
   * `listen`, do not count: `stats().beside` has them.
   *
   * @default 10
   */
  readonly max?: number
  /**
   * Connections kept open although nobody uses them, opened in parallel at once and refilled in the background; `0`
   * to `max`.
   *
   * @default 0
   */
  readonly min?: number
  /**
   * Most callers that may wait for a connection; one more is rejected at once with QueueFullError. `Infinity` for no
   * bound.
   *
   * @default Infinity
   */
  readonly maxWaiting?: number
  /**
   * How long a caller waits for a connection, over all of queueing, connecting and validating. A caller's own
   * `timeoutMs` can only shorten it.
   *
   * @default 5000
   */
  readonly acquireTimeoutMs?: Duration
  /**
   * An idle connection above `min` is closed after this time. `Infinity` to keep it.
   *
   * @default 600000 (10 minutes)
   */
  readonly idleTimeoutMs?: Duration
  /**
   * A connection is replaced when it is this old, up to 10 % earlier or later so that not all end at once; never
   * while it is in use. `Infinity` for no end.
   *
   * @default 3600000 (1 hour)
   */
  readonly maxLifetimeMs?: Duration
  /**
   * A connection is replaced after it was handed out this often; `0` or `Infinity` for no bound.
   *
   * @default 0
   */
  readonly maxUses?: number
  /**
   * A connection that was idle for longer than this is asked for a sign of life before it is handed out; when it gives
   * none the next one is tried, within the same deadline. `Infinity` never asks.
   *
   * @default 500
   */
  readonly validateAfterIdleMs?: Duration
  /**
   * Warn about a connection that is held for longer than this, with the stack of its acquisition; `0` is off. The
   * stack costs some microseconds for each acquisition.
   *
   * @default 0
   */
  readonly leakDetectionMs?: Duration
  /**
   * When callers come faster than they can be served, those that have waited for too long are turned away with
   * OverloadedError, so that the others are served in time; `false` lets everybody wait until its own time is over.
   *
   * @default { targetMs: 50, intervalMs: 2000 }
   */
  readonly overload?: OverloadOptions | false
}

/** The limits with every default filled in. */
export type ResolvedPoolLimits = Required<InMs<Omit<PoolLimits, 'overload'>>> & {
  readonly overload: ResolvedOverload | false
}

/** What stands where the user said nothing. */
export const defaultPoolLimits: ResolvedPoolLimits = {
  max: 10,
  min: 0,
  maxWaiting: Number.POSITIVE_INFINITY,
  acquireTimeoutMs: 5_000,
  idleTimeoutMs: 600_000,
  maxLifetimeMs: 3_600_000,
  maxUses: 0,
  validateAfterIdleMs: 500,
  leakDetectionMs: 0,
  overload: defaultOverload,
}

/** New sizes of a pool; what is left out stays. */
export interface PoolSize {
  /** Most connections, `1` or more. */
  readonly max?: number | undefined
  /** Connections kept open although nobody uses them, `0` to `max`. */
  readonly min?: number | undefined
}
