import type { Clock, Random } from '../deadline/clock.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { Server } from '../server/server.js'
import type { ReadRule } from '../sql/read-rule.js'
import type { Causality } from './causality.js'
import type { ClusterEmitter } from './events.js'
import { ClusterMember, type MemberOptions } from './member.js'
import { ReplicationLagTracker } from './replica-lag.js'
import { type ReadScope, Router } from './router.js'
import { Topology, type TopologyObserver } from './topology.js'
import type { CausalWrites } from './write-positions.js'

/** The servers of a cluster as they are seen from here. */
export interface ServersInSight {
  readonly members: readonly ClusterMember[]
  readonly topology: Topology
  readonly trail: ReplicationLagTracker
  readonly router: Router
}

/**
 * Puts together what sees the servers: whatever a monitor learns goes to the topology, and the primary's position to the trail
 * that lags are measured by.
 *
 * @param options those that may be the primary first, and the most likely one foremost
 */
export function watchServers(
  options: readonly MemberOptions[],
  environment: { readonly clock: Clock; readonly random: Random },
  causalityWaitMs: number,
  observer: TopologyObserver,
): ServersInSight {
  const { clock, random } = environment
  const trail = new ReplicationLagTracker()
  const note = ({ status }: ClusterMember): void => {
    if (status?.standby === false && status.lsn !== undefined) trail.add(status.askedAt, status.lsn)
  }
  const members = options.map(
    (one) =>
      new ClusterMember(one, clock, {
        seen: (member, status) => {
          topology.seen(member, status)
          if (member === topology.writer && !topology.isLost) note(member)
        },
        failed: (member, error) => topology.failed(member, error),
      }),
  )
  const topology = new Topology(members, clock, random, {
    found: (member, from, timeline) => {
      if (member !== from) trail.restart()
      note(member)
      observer.found(member, from, timeline)
    },
    lost: (member, error) => {
      trail.freeze()
      observer.lost(member, error)
    },
  })
  return { members, topology, trail, router: new Router(members, topology, trail, environment, causalityWaitMs) }
}

/** What a cluster is made of; create-pool.ts puts it together. */
export interface ClusterParts extends ServersInSight {
  readonly primary: Server
  readonly rule: ReadRule
  readonly writes: CausalWrites
  readonly events: ClusterEmitter
  readonly failoverTimeoutMs: number
  /** The bounds of a read that says nothing of its own. */
  readonly scope: ReadScope
}

/** The rights and duties of the line of work that asks. */
export interface RoutingContext {
  readonly reading: ReadScope | undefined
  readonly causality: Causality | undefined
  /** Whether it holds an advisory lock. */
  readonly isUnderLock: boolean
  readonly holder: WorkContext | undefined
}
