import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'

/** Time and chance, injected; one of its own for each pool, as whose errors are noted. */
export interface PoolEnvironment {
  readonly clock: Clock
  readonly random: Random
  /** The name of the pool, for errors. */
  readonly poolName?: string | undefined
}
