import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'

/** Time and chance, injected. */
export interface PoolEnvironment {
  readonly clock: Clock
  readonly random: Random
}
