import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import { PrimaryTrail } from '../policy/primary-trail.js'
import { Member, type Place } from './member.js'
import { Router } from './router.js'
import { Topology, type TopologyNews } from './topology.js'

/** The servers of a cluster as they are seen from here. */
export interface ServersInSight {
  readonly members: readonly Member[]
  readonly topology: Topology
  readonly trail: PrimaryTrail
  readonly router: Router
}

/**
 * Puts together what sees the servers: whatever a monitor learns goes to the topology, and the primary's place to the trail
 * that lags are measured by.
 *
 * @param places those that may be the primary first, and the most likely one foremost
 */
export function watchServers(
  places: readonly Place[],
  environment: { readonly clock: Clock; readonly random: Random },
  causalityWaitMs: number,
  news: TopologyNews,
): ServersInSight {
  const { clock, random } = environment
  const trail = new PrimaryTrail()
  const note = ({ sighting }: Member): void => {
    if (sighting?.standby === false && sighting.lsn !== undefined) trail.add(sighting.askedAt, sighting.lsn)
  }
  const members = places.map(
    (place) =>
      new Member(place, clock, {
        seen: (member, sighting) => {
          topology.seen(member, sighting)
          if (member === topology.writer && !topology.isLost) note(member)
        },
        failed: (member, error) => topology.failed(member, error),
      }),
  )
  const topology = new Topology(members, clock, random, {
    found: (member, from, timeline) => {
      if (member !== from) trail.restart()
      note(member)
      news.found(member, from, timeline)
    },
    lost: (member, error) => {
      trail.freeze()
      news.lost(member, error)
    },
  })
  return { members, topology, trail, router: new Router(members, topology, trail, environment, causalityWaitMs) }
}
