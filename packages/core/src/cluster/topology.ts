import type { Connection } from '../connection/connection.js'
import { type Clock, jitter, type Random } from '../deadline/clock.js'
import { Deadline } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { NoPrimaryError, type ServerReport } from '../errors/pool-errors.js'
import { inNoContext } from '../observe/context.js'
import type { ClusterMember } from './member.js'
import { type ServerStatus, StatusProbe } from './probe.js'

/** A server that takes itself for the primary. */
export interface Answer {
  readonly member: ClusterMember
  readonly status: ServerStatus
}

/** What is known of the primary so far. */
export interface KnownPrimary {
  /** Who takes writes, or did when last heard of, or is taken for it. */
  readonly writer: ClusterMember | undefined
  /** Its database system; undefined while none was seen, and on servers that do not report it. */
  readonly system: string | undefined
  /** The latest timeline that was seen; 0 while none was. */
  readonly timeline: number
}

/** Whether it may be the primary that is known, or has taken its place. */
function isAble({ status }: Answer, { system, timeline }: KnownPrimary): boolean {
  return !isOfAnother(system, status) && timelineOf(status) >= timeline
}

/**
 * Which of those that take themselves for the primary is the one: of one database system that on the latest timeline. The
 * system is the one that is known, else that of the writer, else that of the first of the list that answered. When none
 * of the known system is left, and the writer is of another one now, that is what the primary has become.
 */
function choosePrimary(
  answers: readonly Answer[],
  members: readonly ClusterMember[],
  known: KnownPrimary,
): Answer | undefined {
  const inOrder = [known.writer, ...members].flatMap((one) => answers.filter(({ member }) => member === one))
  const able = inOrder.filter((answer) => isAble(answer, known))
  const isSucceeded = inOrder.some(({ member, status }) => member === known.writer && isOfAnother(known.system, status))
  const candidates = able.length > 0 || !isSucceeded ? able : inOrder
  let best = candidates[0]
  const system = best?.status.system
  for (const answer of candidates) {
    if (best === undefined || isOfAnother(system, answer.status)) continue
    if (timelineOf(answer.status) > timelineOf(best.status)) best = answer
  }
  return best
}

/** Whether that was a server of another system than this one, as far as both are known. */
export function isOfAnother(known: string | undefined, { system }: ServerStatus): boolean {
  return known !== undefined && system !== undefined && system !== known
}

/** That of a server that does not report it is older than any: where others do, it is no safe place to write to. */
function timelineOf({ timeline = 0 }: ServerStatus): number {
  return timeline
}

/** Between two rounds of questions while there is no primary, in milliseconds. */
const roundMs = 100
/** How long a round waits for the other servers once one was found that takes writes. */
const othersMs = 200
/** How long a new connection may take to say what server it leads to. */
const probeBoundMs = 2_000

/** What the topology reports. */
export interface TopologyObserver {
  /** This member takes writes from here on; `from` did before, undefined when none is known. */
  found(member: ClusterMember, from: ClusterMember | undefined, timeline: number | undefined): void
  /** The member that took writes does so no more, or cannot be reached. */
  lost(member: ClusterMember, error: unknown): void
}

/**
 * Knows which of the servers is the primary. A server is that when it says that it is not in recovery, and its timeline is not
 * older than any that was seen: an old primary that comes back after a promotion still believes in itself, and what it
 * would be given to write would be lost.
 *
 * Timelines are those of one database system. A server of another system is none of the cluster, except in the place where
 * the primary was last: there it is what the primary has become, by `pg_upgrade` or a new database, and all begins anew.
 */
export class Topology {
  readonly #members: readonly ClusterMember[]
  readonly #clock: Clock
  readonly #random: Random
  readonly #observer: TopologyObserver
  #writer: ClusterMember | undefined
  #isLost = false
  #lostAt = 0
  /** The latest timeline that was seen; 0 while none was, as on a server that does not report it. */
  #timeline = 0
  /** The database system of the primary; undefined while none was seen, and on servers that do not report it. */
  #system: string | undefined
  #isKnown = false
  #finding: Promise<ClusterMember | undefined> | undefined
  #isWatching = false
  #ended = false
  /** Connections for writes, with the member that they lead to. */
  readonly #connections = new Map<Connection, ClusterMember>()

  /** @param members the first of them is taken for the primary until it says otherwise */
  constructor(members: readonly ClusterMember[], clock: Clock, random: Random, observer: TopologyObserver) {
    this.#members = members
    this.#clock = clock
    this.#random = random
    this.#observer = observer
    this.#writer = members[0]
  }

  /** The member that takes writes, or did when last heard of. */
  get writer(): ClusterMember | undefined {
    return this.#writer
  }
  /** Whether the primary is known to be out of reach. */
  get isLost(): boolean {
    return this.#isLost
  }
  /** Whether a primary was seen yet, and not only taken for granted. */
  get isKnown(): boolean {
    return this.#isKnown
  }
  /** The latest timeline that was seen; 0 while none was. */
  get timeline(): number {
    return this.#timeline
  }

  /** Whether that was a server of another database system than the primary's: nothing that it says is a measure here. */
  isForeign(status: ServerStatus): boolean {
    return isOfAnother(this.#system, status)
  }

  get #known(): KnownPrimary {
    return { writer: this.#writer, system: this.#system, timeline: this.#timeline }
  }

  /** A connection to the primary, wherever that is by now. What it leads to is asked, not believed. */
  async openWriter(signal?: AbortSignal): Promise<Connection> {
    let failure: unknown
    const tried = new Set<ClusterMember>()
    for (;;) {
      // Before anything was seen nobody is believed: the first of the list may have been replaced long ago.
      const isSure = this.#isKnown && !this.#isLost && tried.size === 0
      const member = isSure ? this.#writer : await this.find()
      if (member === undefined) throw this.#refusal() ?? this.#noPrimary()
      if (tried.has(member)) throw failure
      tried.add(member)
      try {
        return await this.#openAt(member, signal)
      } catch (error) {
        failure = error
        // A wrong password is no reason to look for another primary.
        if (classify(error, 'connect') === 'configuration') throw error
        this.#lose(member, error)
      }
    }
  }

  /** Asks all servers at once which of them takes writes; undefined when none does. One round at a time. */
  find(): Promise<ClusterMember | undefined> {
    this.#finding ??= inNoContext(() => this.#round()).finally(() => {
      this.#finding = undefined
    })
    return this.#finding
  }

  /** Something was seen of a member, whoever asked. */
  seen(member: ClusterMember, status: ServerStatus): void {
    const { standby } = status
    const timeline = timelineOf(status)
    if (this.isForeign(status)) {
      if (member === this.#writer) this.#lose(member, new Error(otherSystem(member)))
      return
    }
    if (standby) {
      if (member === this.#writer) this.#lose(member, new Error('it follows another server'))
      return
    }
    if (timeline < this.#timeline) {
      if (member === this.#writer) this.#lose(member, new Error(oldTimeline(member, timeline, this.#timeline)))
    } else if (!this.#isKnown) {
      // One answer decides nothing yet, also that of the first of the list: another may have replaced it long ago.
      if (!this.#ended) void this.find()
    } else if (member === this.#writer || timeline > this.#timeline) this.#found(member, status)
  }

  /** A member could not be asked. */
  failed(member: ClusterMember, error: unknown): void {
    if (member === this.#writer) this.#lose(member, error)
  }

  end(): void {
    this.#ended = true
  }

  async #openAt(member: ClusterMember, signal: AbortSignal | undefined): Promise<Connection> {
    const connection = await member.open(signal)
    try {
      const now = this.#clock.now()
      const status = await new StatusProbe(connection).probe(Deadline.after(probeBoundMs, this.#clock), now)
      if (this.isForeign(status)) throw new Error(otherSystem(member))
      if (status.standby) throw new Error(`${member.address} follows another server`)
      const timeline = timelineOf(status)
      if (timeline < this.#timeline) throw new Error(oldTimeline(member, timeline, this.#timeline))
      this.#found(member, status)
    } catch (error) {
      connection.terminate()
      throw error
    }
    // One that the pool has closed is not reported.
    for (const one of this.#connections.keys()) if (!one.isAlive) this.#connections.delete(one)
    this.#connections.set(connection, member)
    return connection
  }

  async #round(): Promise<ClusterMember | undefined> {
    const answers: Answer[] = []
    const asked = this.#members.map((member) =>
      member.monitor.probe().then(
        (status) => {
          if (status.standby) return
          const answer = { member, status }
          answers.push(answer)
          if (isAble(answer, this.#known)) enough.resolve()
        },
        () => undefined, // noted by the member, and named should no other be found
      ),
    )
    const enough = Promise.withResolvers<void>()
    const all = Promise.all(asked)
    await Promise.race([all, enough.promise])
    // Another one may have a later timeline: the first to answer may be the one that was replaced.
    await this.#atMost(othersMs, all)
    const best = choosePrimary(answers, this.#members, this.#known)
    if (best === undefined) return undefined
    this.#found(best.member, best.status)
    return best.member
  }

  async #atMost(ms: number, promise: Promise<unknown>): Promise<void> {
    const over = Promise.withResolvers<void>()
    const timer = this.#clock.setTimer(ms, over.resolve, true)
    await Promise.race([promise, over.promise])
    this.#clock.clearTimer(timer)
  }

  #found(member: ClusterMember, status: ServerStatus): void {
    const timeline = timelineOf(status)
    const isAnew = this.isForeign(status)
    const from = this.#isKnown && !isAnew ? this.#writer : undefined
    const isNews = member !== from || this.#isLost || timeline > this.#timeline
    this.#timeline = isAnew ? timeline : Math.max(this.#timeline, timeline)
    this.#system = status.system ?? this.#system
    this.#isKnown = true
    this.#writer = member
    this.#isLost = false
    if (!isNews) return
    // What still leads to the old primary ends here: nothing may be written there any more.
    for (const [connection, leadsTo] of this.#connections) {
      if (leadsTo === member && !isAnew) continue
      this.#connections.delete(connection)
      connection.terminate()
    }
    this.#observer.found(member, from, timeline === 0 ? undefined : timeline)
  }

  #lose(member: ClusterMember, error: unknown): void {
    if (member !== this.#writer) return
    if (!this.#isLost) {
      this.#isLost = true
      this.#lostAt = this.#clock.now()
      // The first of the list may never have been the primary: then it is no loss.
      if (this.#isKnown || member.status?.standby !== true) this.#observer.lost(member, error)
    }
    if (!this.#isWatching) void inNoContext(() => this.#watch())
  }

  /** Looks for the primary until there is one, in the background. */
  async #watch(): Promise<void> {
    this.#isWatching = true
    while (this.#isLost && !this.#ended) {
      await this.find()
      // Whoever asks next makes a new round; a login that is refused is not tried over and over in the background.
      if (!this.#isLost || this.#refusal() !== undefined) break
      // After half a minute it is no failover any more, and less often will do.
      const pause = this.#clock.now() - this.#lostAt < 30_000 ? roundMs : 5 * roundMs
      await pauseInBackground(jitter(pause, 0.2, this.#random), this.#clock)
    }
    this.#isWatching = false
  }

  /**
   * When the primary refuses this user or database for good, and the others do so too or follow another server, that is
   * what is wrong, and waiting will not cure it.
   */
  #refusal(): unknown {
    const writer = this.#writer
    if (writer === undefined || !isRefused(writer)) return undefined
    const hopeless = this.#members.every((member) => isRefused(member) || member.status?.standby === true)
    return hopeless ? writer.lastError : undefined
  }

  #noPrimary(): Error {
    const hosts = this.#members.map((member): ServerReport => ({ address: member.address, why: this.#whyNot(member) }))
    return new NoPrimaryError(hosts, { cause: this.#writer?.lastError })
  }

  #whyNot({ status, lastError }: ClusterMember): string {
    if (status === undefined) return lastError instanceof Error ? lastError.message || lastError.name : 'no answer yet'
    if (this.isForeign(status)) return 'it is of another database system'
    if (status.standby) return 'it follows another server'
    return `it was replaced: its timeline is ${timelineOf(status)}, and ${this.#timeline} was seen`
  }
}

/** Whether the last probe of it failed over something that waiting does not cure. */
function isRefused({ lastError }: ClusterMember): boolean {
  return lastError !== undefined && classify(lastError, 'connect') === 'configuration'
}

function otherSystem(member: ClusterMember): string {
  return `${member.address} is of another database system than the primary was: it was upgraded, or is another database`
}

function oldTimeline(member: ClusterMember, its: number, seen: number): string {
  return `${member.address} was replaced as the primary: its timeline is ${its}, and ${seen} was seen`
}

/** A pause that does not keep the process alive. */
function pauseInBackground(ms: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve, true))
}
