import type { Host } from '../host/host.js'
import type { RetryBudget } from '../policy/retry-budget.js'
import type { Ambient } from './ambient.js'

/** What the helpers of this floor work with; one for each pool. */
export interface SessionEnvironment {
  readonly host: Host
  readonly ambient: Ambient
  /** Shared by every caller of the pool. */
  readonly retryBudget: RetryBudget
}
