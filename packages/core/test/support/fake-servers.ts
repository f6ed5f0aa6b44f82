import { EventEmitter } from 'node:events'
import type { FailoverEvent } from '../../src/cluster/events.js'
import type { MemberOptions } from '../../src/cluster/member.js'
import { formatLsn, parseLsn } from '../../src/cluster/replica-lag.js'
import { type ServersInSight, watchServers } from '../../src/cluster/servers.js'
import type { Connection } from '../../src/connection/connection.js'
import type { Statement } from '../../src/connection/statement.js'
import type { Deadline } from '../../src/deadline/deadline.js'
import type { Server } from '../../src/server/server.js'
import { FakeClock, settle } from './fake-clock.js'
import { serverError } from './server-error.js'

/** What of a connection those use who watch servers. */
type Watched = Pick<Connection, 'run' | 'isAlive' | 'terminate' | 'close' | 'reports'>

/** A server that says of itself what a test wants it to. */
export class FakeServer {
  readonly where: string
  isUp = true
  /** What it says to every login; undefined lets them in. */
  refusal: Error | undefined
  /** How often somebody tried to log in. */
  logins = 0
  /** It takes connections, and never says a word. */
  isSilent = false
  /** How long each answer takes. */
  delayMs = 0
  standby: boolean
  timeline = 1
  /** Its database system; undefined for a server that does not tell. */
  system: string | undefined = '7001'
  lsn = 1_000n
  /** Whether it has the functions that tell timeline and place. */
  tellsPlace = true
  /** Whether it has replayed anything yet. */
  hasReplayed = true
  /** Whether it has WAIT FOR LSN, and whether that works there. */
  waits: 'no' | 'yes' | 'badly' = 'no'
  /** The texts that it was asked, newest last. */
  readonly asked: string[] = []
  readonly connections: Watched[] = []
  readonly #clock: FakeClock
  readonly #waiting = new Set<() => void>()

  constructor(where: string, standby: boolean, clock: FakeClock) {
    this.where = where
    this.standby = standby
    this.#clock = clock
  }

  readonly open = async (): Promise<Connection> => {
    this.logins += 1
    if (this.refusal !== undefined) throw this.refusal
    if (!this.isUp) throw Object.assign(new Error(`connect ECONNREFUSED ${this.where}`), { code: 'ECONNREFUSED' })
    let isAlive = true
    // Of pg's client only its end is heard of.
    const client = new EventEmitter()
    const end = (): void => {
      if (isAlive) client.emit('end')
      isAlive = false
    }
    const connection = {
      client,
      get isAlive() {
        return isAlive
      },
      terminate: end,
      close: async () => end(),
      run: async ({ text }: Statement, limit: Deadline) => {
        const rows = this.isUp && isAlive ? [await this.#answer(text, limit)] : []
        // It may have died while it was answering.
        if (!this.isUp || !isAlive) throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
        return { rows }
      },
    }
    this.connections.push(connection as unknown as Watched)
    return connection as unknown as Connection
  }

  /** It has replayed, or written, up to here. */
  reach(lsn: bigint): void {
    this.lsn = lsn
    for (const wake of [...this.#waiting]) wake()
  }

  async #answer(text: string, limit: Deadline): Promise<unknown[]> {
    this.asked.push(text)
    await settle()
    if (this.delayMs > 0) await new Promise<void>((resolve) => this.#clock.setTimer(this.delayMs, resolve))
    if (this.isSilent) {
      await new Promise<void>((resolve) => this.#clock.setTimer(limit.at - this.#clock.now(), resolve))
      throw Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT' })
    }
    if (text.includes('pg_get_keywords')) return [this.waits !== 'no']
    const wait = /^wait for lsn '([0-9A-F/]+)' with \(timeout '(\d+)ms', no_throw\)$/.exec(text)
    if (wait !== null) return [await this.#wait(parseLsn(wait[1] ?? '') ?? 0n, Number(wait[2]))]
    if (!text.includes('pg_last_wal_replay_lsn')) return [this.standby]
    if (!this.tellsPlace) throw serverError('0A000', { message: 'the function is not supported here' })
    const place = this.standby && !this.hasReplayed ? null : formatLsn(this.lsn)
    return [this.standby, place, String(this.timeline), ...(this.system === undefined ? [] : [this.system])]
  }

  async #wait(lsn: bigint, ms: number): Promise<string> {
    if (this.waits !== 'yes') throw serverError('42601', { message: 'syntax error at or near "wait"' })
    if (!this.standby) return 'not in recovery'
    const until = this.#clock.now() + ms
    while (this.lsn < lsn && this.#clock.now() < until) {
      const woken = Promise.withResolvers<void>()
      this.#waiting.add(woken.resolve)
      const timer = this.#clock.setTimer(until - this.#clock.now(), woken.resolve)
      await woken.promise
      this.#clock.clearTimer(timer)
      this.#waiting.delete(woken.resolve)
    }
    return this.lsn < lsn ? 'timeout' : 'success'
  }
}

/** Servers, and all that watches them, without a socket between. The first one is the primary. */
export class FakeCluster {
  readonly clock = new FakeClock()
  readonly servers: readonly FakeServer[]
  readonly sight: ServersInSight
  /** What was found and lost, in order. */
  readonly news: (Pick<FailoverEvent, 'to' | 'timeline'> | { readonly lost: string })[] = []

  constructor(
    count: number,
    {
      weights = [],
      causalityWaitMs = 100,
      random = () => 0.5,
    }: {
      readonly weights?: readonly number[]
      readonly causalityWaitMs?: number
      readonly random?: () => number
    } = {},
  ) {
    this.servers = Array.from({ length: count }, (_, at) => new FakeServer(`db${at}:5432`, at > 0, this.clock))
    const places = this.servers.map(
      ({ where, open }, at): MemberOptions => ({
        address: where,
        open,
        weight: weights[at] ?? 1,
        // Whoever chooses a host does not use it.
        reader: undefined as unknown as Server,
      }),
    )
    this.sight = watchServers(places, { clock: this.clock, random }, causalityWaitMs, {
      found: (member, _from, timeline) => this.news.push({ to: member.address, timeline }),
      lost: (member) => this.news.push({ lost: member.address }),
    })
  }

  /** The result, with time going on for as long as it takes. */
  async run<T>(promise: Promise<T>, stepMs = 1): Promise<T> {
    let isSettled = false
    const done = (): void => {
      isSettled = true
    }
    promise.then(done, done)
    for (let step = 0; !isSettled; step += 1) {
      if (step > 100_000) throw new Error('it does not settle, however much time goes by')
      await this.clock.advance(step === 0 ? 0 : stepMs)
    }
    return await promise
  }

  /** Every server is looked at. */
  async look(): Promise<void> {
    await this.run(Promise.allSettled(this.sight.members.map(({ monitor }) => monitor.probe())))
  }

  /** Ends the watching. No timer is left then. */
  async end(): Promise<void> {
    this.sight.topology.end()
    await this.run(Promise.all(this.sight.members.map(({ monitor }) => monitor.end())))
    await this.clock.advance(1_000)
  }
}
