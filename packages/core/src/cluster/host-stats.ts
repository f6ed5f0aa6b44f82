import type { BreakerStats } from '../host/host-breaker.js'
import type { PrimaryTrail } from '../policy/primary-trail.js'
import type { HostStats } from './cluster-events.js'
import type { Member } from './member.js'
import type { Topology } from './topology.js'

/**
 * Each host of a cluster in numbers, as it stands at `now`.
 *
 * @param breaker that of the pool to the primary, which follows it
 */
export function hostStats(
  members: readonly Member[],
  topology: Topology,
  trail: PrimaryTrail,
  now: number,
  breaker: BreakerStats | undefined,
): HostStats[] {
  const all = members.reduce((sum, { reads }) => sum + reads, 0)
  return members.map((member) => {
    const { sighting, lastError, reader } = member
    const role = roleOf(member, topology)
    const replays = role === 'replica' ? sighting?.lsn : undefined
    const { queries, acquireMs, queryMs } = reader.watch.tally.snapshot()
    const lagMs = replays === undefined ? undefined : trail.lagMs(replays, now)
    const lagBytes = replays === undefined ? undefined : trail.lagBytes(replays)
    return {
      host: member.where,
      role,
      timeline: sighting?.timeline,
      lagMs: lagMs === Number.POSITIVE_INFINITY ? undefined : lagMs,
      lagBytes: lagBytes === undefined ? undefined : Number(lagBytes),
      latencyMs: member.latencyMs,
      inFlight: member.inFlight,
      reads: member.reads,
      share: all === 0 ? 0 : member.reads / all,
      ejected: member.isEjected,
      breaker: member === topology.writer ? breaker : reader.watch.breaker?.stats(),
      lastError: lastError instanceof Error ? lastError.message : undefined,
      total: reader.pool.total,
      active: reader.pool.active,
      queries,
      acquireMs,
      queryMs,
    }
  })
}

/** What a member is to its cluster, as far as it was seen. */
export function roleOf(member: Member, topology: Topology): HostStats['role'] {
  if (member === topology.writer && !topology.isLost && topology.isKnown) return 'primary'
  const { sighting } = member
  if (sighting === undefined) return 'unknown'
  if (topology.isForeign(sighting)) return 'foreign'
  if (sighting.standby) return 'replica'
  return topology.isKnown ? 'replaced' : 'unknown'
}
