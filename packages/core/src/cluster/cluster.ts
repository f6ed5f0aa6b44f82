import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Clock } from '../deadline/clock.js'
import { type Deadline, givenUp, sleep } from '../deadline/deadline.js'
import { classify, isReadAgain } from '../errors/classify.js'
import { ownedBy } from '../errors/origin.js'
import type { BreakerStats } from '../resilience/server-breaker.js'
import type { EvictMode } from '../resource-pool/lifecycle.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { ConnectionSlot, Server } from '../server/server.js'
import type { RouteReason, ServerStats } from './events.js'
import type { ClusterMember } from './member.js'
import type { ReplicationLagTracker } from './replica-lag.js'
import type { ReadContext, ReadScope } from './router.js'
import type { ClusterParts, RoutingContext } from './servers.js'
import type { Topology } from './topology.js'
import type { CausalWrites } from './write-positions.js'

/**
 * Each server of a cluster in numbers, as it stands at `now`.
 *
 * @param breaker that of the pool to the primary, which follows it
 */
function serverStats(
  members: readonly ClusterMember[],
  topology: Topology,
  trail: ReplicationLagTracker,
  now: number,
  breaker: BreakerStats | undefined,
): ServerStats[] {
  const all = members.reduce((sum, { reads }) => sum + reads, 0)
  return members.map((member) => {
    const { status, lastError, reader } = member
    const role = roleOf(member, topology)
    const replays = role === 'replica' ? status?.lsn : undefined
    const { queries, waits } = reader.observer.counters.snapshot()
    const lagMs = replays === undefined ? undefined : trail.lagMs(replays, now)
    const lagBytes = replays === undefined ? undefined : trail.lagBytes(replays)
    return {
      address: member.address,
      role,
      timeline: status?.timeline,
      lagMs: lagMs === Number.POSITIVE_INFINITY ? undefined : lagMs,
      lagBytes: lagBytes === undefined ? undefined : Number(lagBytes),
      latencyMs: member.latencyMs,
      inFlight: member.inFlight,
      reads: member.reads,
      share: all === 0 ? 0 : member.reads / all,
      ejected: member.isEjected,
      breaker: member === topology.writer ? breaker : reader.observer.breaker?.stats(),
      lastError: lastError instanceof Error ? lastError.message : undefined,
      total: reader.pool.total,
      active: reader.pool.active,
      waits: { durationMs: waits.durationMs },
      queries,
    }
  })
}

/** What a member is to its cluster, as far as it was seen. */
export function roleOf(member: ClusterMember, topology: Topology): ServerStats['role'] {
  if (member === topology.writer && !topology.isLost && topology.isKnown) return 'primary'
  const { status } = member
  if (status === undefined) return 'unknown'
  if (topology.isForeign(status)) return 'foreign'
  if (status.standby) return 'replica'
  return topology.isKnown ? 'replaced' : 'unknown'
}

/** Between two attempts of a statement that the server refused for its role, while a primary is looked for. */
const againMs = 50
/** How often a read that its connection was lost under is sent again, on the primary. */
const mostReadsAgain = 10

/** How often every server is probed while there are writes alone. */
const everyMs = 1_000

/** A connection to a replica, for a transaction that only reads. */
export interface AcquiredReader {
  readonly member: ClusterMember
  readonly slot: ConnectionSlot
}

/** A primary and its replicas: decides which of them a statement goes to, and gets it there. */
export class Cluster {
  readonly #parts: ClusterParts
  readonly #clock: Clock
  #probedAt = Number.NEGATIVE_INFINITY

  constructor(parts: ClusterParts) {
    this.#parts = parts
    this.#clock = parts.primary.environment.clock
  }

  /** How far a read may be behind that says nothing of its own. */
  get scope(): ReadScope {
    return this.#parts.scope
  }

  /** What is known of where lines of work have written. */
  get writes(): CausalWrites {
    return this.#parts.writes
  }

  /** Whether the text is one statement that only reads. */
  allows(text: string): boolean {
    return this.#parts.rule.allows(text)
  }

  /** One statement outside of any transaction: on a replica if it may, else on the primary. */
  execute(config: StatementConfig, deadline: Deadline, asking: RoutingContext): Promise<QueryResult> {
    const { reading, causality, isUnderLock } = asking
    if (reading === undefined) return this.#onPrimary(config, deadline, asking, 'not-in-read')
    if (isUnderLock) return this.#onPrimary(config, deadline, asking, 'under-lock')
    if (!this.allows(config.text)) return this.#onPrimary(config, deadline, asking, 'not-read-only')
    return this.#read(config, deadline, asking, { scope: reading, causality })
  }

  /**
   * A connection to a replica for a transaction that only reads; undefined when there is none that will do: then it is the
   * primary's. Each member that is tried in vain joins `excluded`.
   *
   * @param text what is to be reported: the statement that the transaction is there for, if it is for one alone
   */
  async acquireReader(
    context: ReadContext,
    excluded: Set<ClusterMember>,
    deadline: Deadline,
    holder: WorkContext,
    text?: string,
  ): Promise<AcquiredReader | undefined> {
    const unsettled = await this.writes.settle(context.causality, deadline)
    if (unsettled !== undefined) {
      this.#reportRoute(undefined, unsettled, text)
      return undefined
    }
    for (;;) {
      const route = await this.#parts.router.route(context, excluded, deadline)
      if (route.kind === 'primary') {
        this.#reportRoute(undefined, route.reason, text)
        return undefined
      }
      const { member, reason } = route
      try {
        const slot = await member.reader.acquire(deadline, holder)
        member.reads += 1
        member.inFlight += 1
        this.#reportRoute(member, reason, text)
        return { member, slot }
      } catch (error) {
        if (deadline.reached() !== undefined || !this.#failed(member, error)) throw error
        excluded.add(member)
      }
    }
  }

  /** Takes back what `takeReader` gave. */
  releaseReader({ member, slot }: AcquiredReader): void {
    member.inFlight -= 1
    member.reader.release(slot)
  }

  /**
   * A read that a replica was given has failed. Takes note of what that says of the replica, or of the text; returns whether
   * the same may be read elsewhere.
   */
  readAgain({ member }: AcquiredReader, text: string, error: unknown): boolean {
    if (classify(error) !== 'topology') return this.#failed(member, error)
    this.#parts.rule.refuse(text)
    this.#reportRoute(undefined, 'refused', text)
    return true
  }

  /**
   * A server has refused something because it takes no writes. Looks for the one that does; returns whether it is another
   * one than `refusedBy`, so that the same may be asked again.
   */
  async foundAnother(refusedBy: ClusterMember | undefined): Promise<boolean> {
    const { topology } = this.#parts
    const writer = await topology.find()
    return writer !== undefined ? writer !== refusedBy : topology.isLost
  }

  /** Who takes the writes at present. */
  get writer(): ClusterMember | undefined {
    return this.#parts.topology.writer
  }

  /** The servers that are not the primary's, as they are read from. */
  get readers(): readonly Server[] {
    const { members, topology } = this.#parts
    return members.filter((member) => member !== topology.writer).map(({ reader }) => reader)
  }

  /** The connections that probe the servers. */
  get watching(): number {
    return this.#parts.members.reduce((sum, { monitor }) => sum + monitor.sessions, 0)
  }

  /** What the server of this reader is to the cluster; undefined when it is none of it. */
  roleOf(reader: Server): ServerStats['role'] | undefined {
    const { members, topology } = this.#parts
    const member = members.find((one) => one.reader === reader)
    return member === undefined ? undefined : roleOf(member, topology)
  }

  /** Each server in numbers. */
  stats(): ServerStats[] {
    const { members, topology, trail, primary } = this.#parts
    return serverStats(members, topology, trail, this.#clock.now(), primary.observer.breaker?.stats())
  }

  /** As for the primary's pool. */
  async evict(mode: EvictMode): Promise<void> {
    await Promise.all(this.#parts.members.map(({ reader }) => reader.pool.evict(mode)))
  }

  /** Likewise. */
  async pause(): Promise<void> {
    await Promise.all(this.#parts.members.map(({ reader }) => reader.pool.pause()))
  }

  /** Likewise. */
  resume(): void {
    for (const { reader } of this.#parts.members) reader.pool.resume()
  }

  /** Ends the pools of the replicas, and probes no server any more. */
  async end(): Promise<void> {
    const { members, topology } = this.#parts
    topology.end()
    await Promise.all(members.flatMap(({ reader, monitor }) => [reader.pool.end(), monitor.end()]))
  }

  /** Cuts the end of the replicas' pools short. */
  endNow(): void {
    for (const { reader } of this.#parts.members) reader.pool.endNow()
  }

  async #read(
    config: StatementConfig,
    deadline: Deadline,
    asking: RoutingContext,
    context: ReadContext,
  ): Promise<QueryResult> {
    const { router, rule } = this.#parts
    const excluded = new Set<ClusterMember>()
    const unsettled = await this.writes.settle(context.causality, deadline)
    if (unsettled !== undefined) return await this.#onPrimary(config, deadline, asking, unsettled)
    for (;;) {
      const route = await router.route(context, excluded, deadline)
      if (route.kind === 'primary') return await this.#onPrimary(config, deadline, asking, route.reason)
      const { member, reason } = route
      const since = this.#clock.now()
      this.#reportRoute(member, reason, config.text)
      member.reads += 1
      member.inFlight += 1
      try {
        const result = await member.reader.query(config, deadline, asking.holder, reason)
        member.answered(since)
        return result
      } catch (error) {
        if (deadline.reached() !== undefined) throw error
        if (classify(error) === 'topology') {
          rule.refuse(config.text)
          return await this.#onPrimary(config, deadline, asking, 'refused')
        }
        if (!this.#failed(member, error)) throw error
        excluded.add(member)
      } finally {
        member.inFlight -= 1
      }
    }
  }

  /** Takes note of what a replica answered; returns whether the same may be read elsewhere. */
  #failed(member: ClusterMember, error: unknown): boolean {
    const verdict = isReadAgain(error)
    if (verdict === 'no' || verdict === 'elsewhere') member.ejection.succeeded(this.#clock.now())
    else {
      member.ejection.failed(this.#clock.now())
      // A probe shows whether it is the server or one connection. Its outcome is noted by the member.
      if (!member.monitor.isProbing) member.monitor.probe().catch(() => undefined)
    }
    return verdict !== 'no'
  }

  async #onPrimary(
    config: StatementConfig,
    deadline: Deadline,
    asking: RoutingContext,
    reason: RouteReason,
  ): Promise<QueryResult> {
    const { primary, topology, failoverTimeoutMs } = this.#parts
    const { causality, holder, reading } = asking
    const isRead =
      reading !== undefined && reason !== 'not-read-only' && reason !== 'refused' && this.allows(config.text)
    if (isRead && topology.writer !== undefined) topology.writer.reads += 1
    this.#reportRoute(undefined, reason, config.text)
    this.keepInSight()
    const until = this.#clock.now() + failoverTimeoutMs
    for (let attempt = 1; ; attempt += 1) {
      const { writer } = topology
      try {
        const result = await primary.query(config, deadline, holder, reason)
        if (causality !== undefined && !this.allows(config.text)) this.writes.wrote(causality)
        return result
      } catch (error) {
        const kind = classify(error)
        // Whether a statement that was cut off has written is not known: what is read next must show it if it has.
        if (causality !== undefined && kind !== 'user' && !this.allows(config.text)) causality.noteUnknown()
        const again =
          kind === 'topology'
            ? await this.foundAnother(writer)
            : isRead && kind === 'connection' && attempt < mostReadsAgain
        if (!again || this.#clock.now() >= until) throw error
        const reached = await sleep(attempt === 1 ? 0 : againMs, this.#clock, deadline)
        if (reached !== undefined) throw ownedBy(givenUp(reached, 'cancelled', error), primary.environment)
      }
    }
  }

  /**
   * To be called with every use of the primary: probes all servers about once a second. Somebody may promote a replica
   * while the old primary is alive and reachable; it must not be written to for long.
   */
  keepInSight(): void {
    const now = this.#clock.now()
    if (now - this.#probedAt < everyMs) return
    this.#probedAt = now
    for (const { monitor } of this.#parts.members) {
      if (!monitor.isProbing && now - monitor.askedAt >= everyMs) monitor.probe().catch(() => undefined)
    }
  }

  #reportRoute(member: ClusterMember | undefined, reason: RouteReason, text: string | undefined): void {
    this.#parts.events.emit('route', () => ({
      address: (member ?? this.#parts.topology.writer)?.address ?? 'unknown',
      role: member === undefined ? 'primary' : 'replica',
      reason,
      text,
    }))
  }
}
