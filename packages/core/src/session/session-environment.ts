import type { Emitter } from '../base/emitter.js'
import type { Cluster } from '../cluster/cluster.js'
import type { ClusterEvents } from '../cluster/cluster-events.js'
import type { Host } from '../host/host.js'
import type { RetryBudget } from '../policy/retry-budget.js'
import type { Ambient } from './ambient.js'
import type { SessionEvents } from './session-events.js'

/** What the methods of this floor work with; one for each pool. */
export interface SessionEnvironment {
  readonly host: Host
  readonly ambient: Ambient
  /** There when the pool has several hosts. */
  readonly cluster?: Cluster | undefined
  /** Shared by every caller of the pool. */
  readonly retryBudget: RetryBudget
  readonly events: Emitter<SessionEvents & ClusterEvents>
  /** How often work was done again, by `withTransaction` and `withOptimisticRetry`. */
  readonly counts: { retries: number }
}
