import type { ResolvedOverload } from '../resilience/codel.js'

/** Sizes and times of a pool, in milliseconds; what they mean, and their defaults, are in options/option-schema.ts. */
export interface ResolvedPoolLimits {
  readonly max: number
  readonly min: number
  readonly maxWaiting: number
  readonly acquireTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly maxUses: number
  readonly validateAfterIdleMs: number
  readonly leakDetectionMs: number
  readonly overload: ResolvedOverload | false
}

/** New sizes of a pool; what is left out stays. */
export interface PoolSize {
  /** Most connections, `1` or more. */
  readonly max?: number | undefined
  /** Connections kept open although nobody uses them, `0` to `max`. */
  readonly min?: number | undefined
}
