import type { Host } from '../host/host.js'
import type { Holder } from '../pool/waiter.js'
import type { CausalWrites } from './causal-writes.js'
import type { Causality } from './causality.js'
import type { ClusterVoice } from './cluster-events.js'
import type { ReadRule } from './read-rule.js'
import type { ReadScope } from './read-scope.js'
import type { ServersInSight } from './watch-servers.js'

/** What a cluster is made of; create-pool.ts puts it together. */
export interface ClusterParts extends ServersInSight {
  readonly primary: Host
  readonly rule: ReadRule
  readonly writes: CausalWrites
  readonly events: ClusterVoice
  readonly failoverTimeoutMs: number
  /** The bounds of a read that says nothing of its own. */
  readonly scope: ReadScope
}

/** The rights and duties of the line of work that asks. */
export interface Asking {
  readonly reading: ReadScope | undefined
  readonly causality: Causality | undefined
  /** Whether it holds an advisory lock. */
  readonly isUnderLock: boolean
  readonly holder: Holder | undefined
}
