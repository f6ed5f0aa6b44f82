import type { Clock, Random } from '../deadline/clock.js'
import { Deadline, givenUp, sleep } from '../deadline/deadline.js'
import { ownedBy } from '../errors/origin.js'
import { type Causality, type CausalToken, shows } from './causality.js'
import type { RouteReason } from './events.js'
import { inUse, pickOfTwo } from './load-balancer.js'
import type { ClusterMember } from './member.js'
import { type FreshnessBound, isFreshEnough, type ReplicationLagTracker } from './replica-lag.js'
import type { Topology } from './topology.js'

/** What `pool.read()` asks for. */
export type ReadScope = FreshnessBound

/** Where a line of work stands when it asks for a read. */
export interface ReadContext {
  readonly scope: ReadScope
  /** What its reads must show. */
  readonly causality: Causality | undefined
}

/** How old what is known of a server may become while there are reads, at most and at least, in milliseconds. */
const slowestProbeMs = 100
const quickestProbeMs = 5
/** Looks of which each is a quarter of the allowed lag apart leave half of it to the replica. */
const probesPerLag = 4
/** Pauses between probes while a read waits for a replica, in milliseconds. */
const firstPauseMs = 1
const longestPauseMs = 8
/**
 * How long a server that can wait by itself is left to it. Looks at it stand in line meanwhile, and so do waits for an
 * earlier position, which may be there already.
 */
const longestWaitMs = 25

/** Where a read is to go. */
export type Route =
  | { readonly kind: 'replica'; readonly member: ClusterMember; readonly reason: RouteReason }
  | { readonly kind: 'primary'; readonly reason: RouteReason }

/** Chooses the server of each read, out of what was seen of all of them, and sees to it that this does not grow old. */
export class Router {
  readonly #members: readonly ClusterMember[]
  readonly #topology: Topology
  readonly #trail: ReplicationLagTracker
  readonly #owner: object
  readonly #clock: Clock
  readonly #random: Random
  readonly #causalityWaitMs: number
  /** Asks the primary where it is; set by whoever has a connection to it. */
  askPrimary: (() => Promise<CausalToken>) | undefined

  constructor(
    members: readonly ClusterMember[],
    topology: Topology,
    trail: ReplicationLagTracker,
    environment: { readonly clock: Clock; readonly random: Random },
    causalityWaitMs: number,
  ) {
    this.#members = members
    this.#topology = topology
    this.#trail = trail
    this.#owner = environment
    this.#clock = environment.clock
    this.#random = environment.random
    this.#causalityWaitMs = causalityWaitMs
  }

  /**
   * A replica that is fresh enough and shows what must be shown, waiting for one within bounds; or the primary.
   *
   * @param excluded members that have failed this very read
   */
  async route(
    { scope, causality }: ReadContext,
    excluded: ReadonlySet<ClusterMember>,
    deadline: Deadline,
  ): Promise<Route> {
    this.#probeAll(scope)
    const token = causality?.token
    const route = this.#now(scope, token, excluded)
    if (route.kind === 'replica') return route
    // Before anything is known of the servers, their answer is worth waiting for; it is bounded by the monitor.
    if (this.#others(excluded).some((member) => member.status === undefined && member.monitor.isProbing)) {
      const looks = this.#members.map(({ monitor }) => monitor.isProbing && monitor.probe())
      await deadline.within(Promise.allSettled(looks))
      const informed = this.#now(scope, token, excluded)
      if (informed.kind === 'replica') return informed
    }
    if (causality === undefined || token === undefined) return this.#now(scope, token, excluded)
    if (this.#now(scope, token, excluded).reason === 'causality')
      await this.#checkAgainstPrimary(causality, token, deadline)
    return await this.#await(scope, causality.token ?? token, excluded, deadline)
  }

  /**
   * No replica shows the token. One that was given from outside may be made up, or of another database system: then none
   * ever will, and every read would wait in vain. What is ahead of the primary is clamped to where the primary is.
   */
  async #checkAgainstPrimary(causality: Causality, token: CausalToken, deadline: Deadline): Promise<void> {
    if (!causality.isDoubtful || this.askPrimary === undefined) return
    if (this.#isSeen(token)) return causality.believe()
    const bound = Deadline.after(this.#causalityWaitMs, this.#clock).tighter(deadline)
    const position = await bound.within(this.#positionFor(token)).catch(() => undefined)
    const reached = deadline.reached()
    if (reached !== undefined) throw ownedBy(givenUp(reached, 'not-sent'), this.#owner)
    if (position === undefined) return
    if (shows(position, token)) causality.believe()
    else causality.clamp(position)
  }

  /** Whether the primary has been seen at or after this position. */
  #isSeen(token: CausalToken): boolean {
    const status = this.#topology.writer?.status
    return (
      status?.timeline !== undefined &&
      status.lsn !== undefined &&
      shows({ timeline: status.timeline, lsn: status.lsn }, token)
    )
  }

  /** Where the primary is; undefined when that cannot be said for certain. */
  async #positionFor(token: CausalToken): Promise<CausalToken | undefined> {
    const position = await this.askPrimary?.()
    if (position === undefined || token.timeline <= position.timeline) return position
    // There may have been a promotion that was not seen here: all servers are asked.
    const writer = await this.#topology.find()
    if (writer === undefined) return undefined
    return this.#topology.timeline > position.timeline ? await this.askPrimary?.() : position
  }

  #others(excluded: ReadonlySet<ClusterMember>): readonly ClusterMember[] {
    const { writer } = this.#topology
    return this.#members.filter((member) => member !== writer && !excluded.has(member))
  }

  /** The best that can be had now. */
  #now(scope: ReadScope, token: CausalToken | undefined, excluded: ReadonlySet<ClusterMember>): Route {
    const replicas = this.#others(excluded).filter(
      ({ status }) => status?.standby === true && !this.#topology.isForeign(status),
    )
    if (replicas.length === 0) return { kind: 'primary', reason: excluded.size > 0 ? 'replicas-failed' : 'no-replica' }
    const now = this.#clock.now()
    const fresh = replicas.filter(({ status }) => {
      // What it shows is not known: enough only for who takes data of any age.
      if (status?.lsn === undefined) return scope.maxLagMs === Number.POSITIVE_INFINITY
      // One that has not followed a promotion is behind by all that came after, whatever the numbers say.
      if ((status.timeline ?? 0) < this.#topology.timeline) return false
      return isFreshEnough(this.#trail, status.lsn, scope, now)
    })
    if (fresh.length === 0) return { kind: 'primary', reason: replicas.some(reportsPosition) ? 'lag' : 'no-position' }
    const able = fresh.filter((member) => token === undefined || showsAll(member, token))
    if (able.length === 0) return { kind: 'primary', reason: fresh.some(reportsPosition) ? 'causality' : 'no-position' }
    const { hosts, panic } = inUse(able, (member) => member.isEjected)
    const member = pickOfTwo(hosts, this.#random)
    if (member === undefined) throw new Error('bug: no member was picked out of several')
    const reason = panic ? 'panic' : this.#trail.isFrozen ? 'primary-lost' : 'fresh'
    return { kind: 'replica', member, reason }
  }

  /** Waits for a replica to show what the token stands for, by probing again and again. */
  async #await(
    scope: ReadScope,
    token: CausalToken,
    excluded: ReadonlySet<ClusterMember>,
    deadline: Deadline,
  ): Promise<Route> {
    const until = this.#clock.now() + this.#causalityWaitMs
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const route = this.#now(scope, token, excluded)
      // Only replaying is waited for; a replica that is not there does not come by waiting.
      if (route.kind === 'replica' || route.reason !== 'causality') return route
      const left = until - this.#clock.now()
      if (left <= 0) return route
      const looks = this.#others(excluded).map((member) => this.#probeAgain(member, token, pauseMs, left, deadline))
      // The first to answer may be the one; those that do not answer are not waited for. All failing is no error here.
      await deadline.within(Promise.any(looks).catch(() => undefined))
    }
  }

  /** Probes a replica when it may show more: when it says so itself, or, where it cannot, after a pause. */
  async #probeAgain(
    { monitor, status }: ClusterMember,
    token: CausalToken,
    pauseMs: number,
    left: number,
    deadline: Deadline,
  ): Promise<void> {
    // The server knows positions, and no timelines.
    const lacksReplayAlone = status?.standby === true && (status.timeline ?? 0) >= token.timeline
    if (lacksReplayAlone && monitor.waits !== false) {
      await monitor.probeAfter(token.lsn, Math.min(longestWaitMs, left))
      return
    }
    const reached = await sleep(Math.min(pauseMs, left), this.#clock, deadline)
    if (reached !== undefined) throw ownedBy(givenUp(reached, 'not-sent'), this.#owner)
    await monitor.probe()
  }

  /** Probes every server of which too little is known by now, in the background. */
  #probeAll({ maxLagMs }: ReadScope): void {
    const everyMs = Math.min(slowestProbeMs, Math.max(quickestProbeMs, maxLagMs / probesPerLag))
    const now = this.#clock.now()
    for (const { monitor } of this.#members) {
      if (monitor.isProbing || now - monitor.askedAt < everyMs) continue
      monitor.probe().catch(() => undefined) // noted by the member
    }
  }
}

function reportsPosition({ status }: ClusterMember): boolean {
  return status?.lsn !== undefined
}

function showsAll({ status }: ClusterMember, token: CausalToken): boolean {
  if (status?.timeline === undefined || status.lsn === undefined) return false
  return shows({ timeline: status.timeline, lsn: status.lsn }, token)
}
