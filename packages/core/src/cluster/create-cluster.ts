import { ConnectionLostError } from '../errors/pool-errors.js'
import { Host } from '../host/host.js'
import type { ResetMode } from '../host/hygiene.js'
import { PrimaryTrail } from '../policy/primary-trail.js'
import type { ResolvedPoolLimits } from '../pool/pool-limits.js'
import type { LeakReport } from '../pool/resource-factory.js'
import type { PoolEnvironment } from '../pool/resource-pool.js'
import type { ClientConfig } from '../wire/client-config.js'
import { Connection } from '../wire/connection.js'
import { whereTo } from '../wire/where-to.js'
import { Cluster } from './cluster.js'
import type { ClusterVoice } from './cluster-events.js'
import type { ResolvedClusterOptions } from './cluster-options.js'
import { Member } from './member.js'
import { ReadRule } from './read-rule.js'
import { Router } from './router.js'
import { Topology } from './topology.js'
import { WritePositions } from './write-positions.js'

/** A server, and the pool of connections to it while it is a replica. */
export interface PlaceConfig {
  readonly config: ClientConfig
  readonly limits: ResolvedPoolLimits
  readonly weight: number
}

/** What a cluster is put together from. */
export interface ClusterPlan {
  /** Those that may be the primary first, and the most likely one foremost. Two or more. */
  readonly places: readonly PlaceConfig[]
  /** Those of the pool to the primary, wherever that is. */
  readonly limits: ResolvedPoolLimits
  readonly environment: PoolEnvironment
  readonly onLeak: (leak: LeakReport) => void
  readonly resetMode: ResetMode
  readonly events: ClusterVoice
  readonly options: ResolvedClusterOptions
}

/** Puts a cluster together: the host that everything but reads goes to, which follows the primary, and the rest. */
export function createCluster(plan: ClusterPlan): { readonly host: Host; readonly cluster: Cluster } {
  const { environment, onLeak, events, options } = plan
  const { clock, random } = environment
  const trail = new PrimaryTrail()
  const members = plan.places.map(({ config, limits, weight }) => {
    const where = whereTo(config)
    const reader = new Host(config, where, limits, environment, onLeak, plan.resetMode, {
      failsFast: true,
      // Whoever waits is told at once, and must be able to tell a failure to connect from what a statement may say.
      open: (signal) =>
        Connection.open(config, clock, signal).catch((cause: unknown) => {
          throw new ConnectionLostError(false, { cause })
        }),
    })
    const place = { where, open: (signal?: AbortSignal) => Connection.open(config, clock, signal), reader, weight }
    return new Member(place, clock, {
      seen: (member, sighting) => {
        topology.seen(member, sighting)
        if (member === topology.writer && !topology.isLost) trail.add(sighting.askedAt, sighting.lsn)
      },
      failed: (member, error) => topology.failed(member, error),
    })
  })
  const topology = new Topology(members, clock, random, {
    found: (member, from, timeline) => {
      if (member !== from) trail.restart()
      host.pool.hurry()
      if (member === from || from === undefined) return
      events.emit('failover', () => ({ from: from.where, to: member.where, timeline }))
    },
    lost: (member, error) => {
      trail.freeze()
      events.emit('primary-lost', () => ({ host: member.where, error }))
    },
  })
  const [first] = plan.places
  if (first === undefined) throw new Error('bug: a cluster without a place')
  const host = new Host(
    first.config,
    members.map(({ where }) => where).join(','),
    plan.limits,
    environment,
    onLeak,
    plan.resetMode,
    {
      open: (signal) => topology.openWriter(signal),
      unavailableTimeoutMs: options.failoverTimeoutMs,
    },
  )
  const { maxLagMs, maxLagBytes, failoverTimeoutMs, causalityWaitMs } = options
  const cluster = new Cluster({
    primary: host,
    members,
    topology,
    router: new Router(members, topology, trail, environment, causalityWaitMs),
    trail,
    rule: new ReadRule(options),
    positions: new WritePositions(host),
    events,
    failoverTimeoutMs,
    causalityWaitMs,
    scope: { maxLagMs, maxLagBytes },
  })
  return { host, cluster }
}
