import type { Connection } from '../connection/connection.js'
import { type Statement, signOfLife } from '../connection/statement.js'
import type { Clock, Timer } from '../deadline/clock.js'
import { Deadline, noDeadline } from '../deadline/deadline.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { noop } from '../observe/noop.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { ConnectionSlot, Server } from '../server/server.js'
import type { ServerKey } from '../sql/lock-key.js'
import type { OpenTransaction } from '../transaction/context.js'
import type { LockMode } from '../transaction/held-lock.js'
import { type Ask, allowIdle, countOwnLocks } from '../transaction/lock-sql.js'

/** How often, and for how long at most, a session with locks is asked whether it still has them. */
export interface HeartbeatTimes {
  readonly everyMs: number
  readonly boundMs: number
}

/** A session as its heartbeat sees it. */
export interface Beating {
  readonly connection: Connection
  /** Whether it is used, or about to be, for as long as others decide: by a wait, or by a transaction. */
  readonly isTakenForLong: boolean
  /** Locks that it holds. */
  readonly locks: number
  /** Runs `fn` with the session for itself. */
  use<T>(fn: (connection: Connection) => Promise<T>, deadline: Deadline): Promise<T>
  giveUp(why: string, cause: unknown): void
}

const besideSql = `
  select (select pg_catalog.count(*)::pg_catalog.int4 from pg_catalog.pg_locks
          where pid OPERATOR(pg_catalog.=) $1::pg_catalog.int4
            and locktype OPERATOR(pg_catalog.=) 'advisory' and granted) as locks,
    exists (select from pg_catalog.pg_stat_activity where pid OPERATOR(pg_catalog.=) $1::pg_catalog.int4) as there`

/**
 * Finds out that a session is gone when the network says nothing: every session that holds locks, or waits for one, is
 * asked for a sign of life, also while somebody uses it.
 */
class Heartbeat {
  readonly #session: Beating
  readonly #times: HeartbeatTimes
  readonly #clock: Clock
  readonly #ask: Ask
  #timer: Timer | undefined
  #isOver = false

  constructor(session: Beating, times: HeartbeatTimes, clock: Clock, ask: Ask) {
    this.#session = session
    this.#times = times
    this.#clock = clock
    this.#ask = ask
  }

  /** Goes on until it is stopped; a second call does nothing. */
  start(): void {
    if (this.#timer !== undefined || this.#isOver) return
    this.#timer = this.#clock.setTimer(this.#times.everyMs, () => void this.#beat(), true)
  }

  stop(): void {
    this.#isOver = true
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  async #beat(): Promise<void> {
    const session = this.#session
    const { boundMs } = this.#times
    const deadline = Deadline.after(boundMs, this.#clock)
    try {
      const isThere = await deadline.within(this.#probe(deadline))
      if (!isThere && !this.#isOver) session.giveUp('the server does not know of it any more', undefined)
    } catch (error) {
      // An error that the server itself sent is a sign of life, and a socket that fails reports it.
      if (error instanceof OperationTimeoutError && !this.#isOver)
        session.giveUp(`its session gave no sign of life within ${boundMs} ms`, error)
    }
    this.#timer = undefined
    this.start()
  }

  /** Whether the server knows of the session and its locks. */
  async #probe(deadline: Deadline): Promise<boolean> {
    const session = this.#session
    const { connection } = session
    if (!session.isTakenForLong) {
      const expected = session.locks
      const found = await session.use(() => countOwnLocks(connection, deadline), deadline)
      // Locks may have been released since the question was asked, but none can have been added to the session.
      return found >= Math.min(expected, session.locks)
    }
    if (connection.isQuiet) {
      // Between two statements of a transaction. An empty statement changes nothing in it, not even in a failed one.
      await connection.run(signOfLife({ text: '' }), deadline)
      return true
    }
    // Behind a statement that runs, no answer would come: another session is asked about this one.
    const [row] = (await this.#ask(signOfLife({ text: besideSql, values: [connection.pid] }), deadline)) as {
      locks: number
      there: boolean
    }[]
    return row === undefined || row.there
  }
}

/** Why a session with locks is gone. */
export interface Loss {
  readonly why: string
  readonly cause: unknown
}

/** Locks that a session holds for somebody. */
export class LockLease {
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  readonly #release: (hold: LockLease) => void
  #loss: Loss | undefined
  #listener: ((loss: Loss) => void) | undefined

  constructor(keys: readonly ServerKey[], mode: LockMode, release: (hold: LockLease) => void) {
    this.keys = keys
    this.mode = mode
    this.#release = release
  }

  /** Calls back when the session is lost; at once when it has been. */
  onLost(listener: (loss: Loss) => void): void {
    this.#listener = listener
    if (this.#loss !== undefined) listener(this.#loss)
  }

  /** The locks have been released. */
  release(): void {
    this.#listener = undefined
    this.#release(this)
  }

  /** Called by the session. */
  lose(loss: Loss): void {
    this.#loss = loss
    this.#listener?.(loss)
  }
}

/** How long making the session fit for its next user may take. */
const tidyBoundMs = 5_000

/**
 * A session that holds locks: one, or many side by side. It knows when it is lost: at once when its socket or the server
 * says so, and by its heartbeat when the network says nothing at all.
 */
export class LockSession implements Beating {
  readonly slot: ConnectionSlot
  /** The transaction of a lock that runs on it now. */
  transaction: OpenTransaction | undefined
  readonly #server: Server
  readonly #clock: Clock
  readonly #heartbeat: Heartbeat
  readonly #holds = new Set<LockLease>()
  readonly #stopListening: () => void
  /** Settles when the one who uses the session now is done. */
  #tail: Promise<void> = Promise.resolve()
  #users = 0
  /** Those who are about to use it. */
  #keepers = 0
  /** Transactions of its locks that run on it, or wait to. */
  #transactions = 0
  #isWaiting = false
  /** How long it could idle before it held locks, where that was bounded. */
  #idleBefore: string | undefined
  #isOver = false

  constructor(server: Server, slot: ConnectionSlot, times: HeartbeatTimes, ask: Ask) {
    this.slot = slot
    this.#server = server
    server.pool.ignoreLeak(slot)
    this.#clock = server.environment.clock
    this.#heartbeat = new Heartbeat(this, times, this.#clock, ask)
    this.#stopListening = slot.resource.onLost((cause) => this.#lose(`its session ended: ${cause.message}`, cause))
  }

  get connection(): Connection {
    return this.slot.resource
  }
  get isUsable(): boolean {
    return !this.#isOver && this.connection.isAlive
  }
  /** How many use it now, or wait to. */
  get load(): number {
    return this.#users
  }
  /** Whether a transaction of one of its locks has it, or waits for it: that lasts for as long as a user's code does. */
  get isOccupied(): boolean {
    return this.#transactions > 0
  }
  get isTakenForLong(): boolean {
    return this.#isWaiting || this.isOccupied
  }
  /** Ids of the keys that it holds for this process. */
  get keyIds(): Set<string> {
    return new Set([...this.#holds].flatMap(({ keys }) => keys.map(({ id }) => id)))
  }
  /** Locks as the server counts them: one that is shared twice by one session is one. */
  get locks(): number {
    return new Set([...this.#holds].flatMap(({ keys, mode }) => keys.map(({ id }) => `${id} ${mode}`))).size
  }

  /** It does not go back to the pool before whoever is about to use it has done so. */
  keep(): void {
    this.#keepers += 1
  }

  leave(): void {
    this.#keepers -= 1
    this.#endIfIdle()
  }

  /** Runs `fn` with the session for itself: what comes later waits, so that nobody's statement lands in a transaction. */
  async use<T>(fn: (connection: Connection) => Promise<T>, deadline: Deadline): Promise<T> {
    const before = this.#tail
    const done = Promise.withResolvers<void>()
    this.#tail = before.then(() => done.promise)
    this.#users += 1
    this.#heartbeat.start()
    try {
      if (this.#users > 1) await deadline.within(before)
      if (!this.isUsable) {
        const cause = this.connection.lostWith ?? new Error('it was given back')
        throw ownedBy(new ConnectionLostError(false, { cause }), this.#server.environment)
      }
      return await fn(this.connection)
    } finally {
      this.#users -= 1
      done.resolve()
      this.#endIfIdle()
    }
  }

  /** Like `use`, for a transaction of one of its locks. */
  async occupy<T>(fn: () => Promise<T>, deadline: Deadline): Promise<T> {
    this.#transactions += 1
    try {
      return await this.use(fn, deadline)
    } finally {
      this.#transactions -= 1
    }
  }

  /** Like `use`, for a wait in the server's queue. */
  async wait<T>(fn: (connection: Connection) => Promise<T>, deadline: Deadline): Promise<T> {
    this.#isWaiting = true
    try {
      return await this.use(fn, deadline)
    } finally {
      this.#isWaiting = false
    }
  }

  /** From now on it may idle for as long as it is needed; before, this was the bound. */
  staysIdle(before: string | undefined): void {
    this.#idleBefore ??= before
  }

  /** The session holds these as well. To be called while it is in use. */
  hold(keys: readonly ServerKey[], mode: LockMode): LockLease {
    const hold = new LockLease(keys, mode, (released) => {
      if (this.#holds.delete(released)) this.#endIfIdle()
    })
    this.#holds.add(hold)
    return hold
  }

  /** Declares the session lost, and tears it down: the server then gives its locks to others. */
  giveUp(why: string, cause: unknown): void {
    this.#stopListening()
    this.connection.terminate()
    this.#lose(why, cause)
  }

  /** Nobody holds a lock of it and nobody uses it: the connection goes back. */
  #endIfIdle(): void {
    if (this.#holds.size > 0 || this.#users > 0 || this.#keepers > 0 || this.#isOver) return
    this.#end()
  }

  #end(): void {
    this.#isOver = true
    this.#heartbeat.stop()
    this.#stopListening()
    if (this.#idleBefore === undefined || !this.connection.isAlive) this.#server.release(this.slot)
    else void this.#boundIdle(this.#idleBefore)
  }

  /** What was set for the locks does not stay for whoever has the connection next. */
  async #boundIdle(before: string): Promise<void> {
    try {
      await allowIdle(this.connection, before, Deadline.after(tidyBoundMs, this.#clock))
    } catch {
      // Nobody waits for it; a connection that cannot be tidied up is of no use to anybody.
      this.connection.terminate()
    }
    this.#server.release(this.slot)
  }

  #lose(why: string, cause: unknown): void {
    if (this.#isOver) return
    this.#end()
    const loss: Loss = { why, cause }
    for (const hold of [...this.#holds]) hold.lose(loss)
  }
}

/**
 * The sessions that hold the locks of a pool: a few that are shared by all locks that were free when they were asked
 * for, so that a thousand locks do not take a thousand connections. A session is there only while it holds a lock.
 */
export class LockSessions {
  readonly #server: Server
  readonly #most: number
  readonly #times: HeartbeatTimes
  readonly #all = new Set<LockSession>()
  readonly #shared = new Set<LockSession>()
  readonly #opening = new Set<Promise<LockSession>>()

  /** @param most the most sessions that locks share */
  constructor(server: Server, most: number, times: HeartbeatTimes) {
    this.#server = server
    this.#most = most
    this.#times = times
  }

  /** Half of the pool at least, as large as it is now, is left to the work that is done under locks. */
  get #mostNow(): number {
    return Math.max(1, Math.min(this.#most, Math.floor(this.#server.pool.max / 2)))
  }

  /**
   * A session to share: an idle one, a new one while there may be more, or the one with the least to do. Never one that
   * a transaction occupies: that may itself wait for the lock. Kept for the caller, who lets it go.
   */
  async share(deadline: Deadline, holder: WorkContext): Promise<LockSession> {
    for (;;) {
      const best = this.#leastLoaded()
      const sessions = this.#shared.size + this.#opening.size
      if (best !== undefined && (best.load === 0 || sessions >= this.#mostNow)) {
        best.keep()
        return best
      }
      if (sessions < this.#mostNow) return await this.#openShared(deadline, holder)
      if (this.#opening.size === 0) return await this.open(deadline, holder)
      // Whoever opens it may give up first: then the next round opens one.
      const opened = Promise.race(this.#opening).then(noop, noop)
      await deadline.within(opened)
    }
  }

  /** A session that is not shared. Kept for the caller, who lets it go. */
  async open(deadline: Deadline, holder: WorkContext): Promise<LockSession> {
    const slot = await this.#server.acquire(deadline, holder)
    const session = new LockSession(this.#server, slot, this.#times, this.ask)
    session.keep()
    for (const one of this.#all) if (!one.isUsable) this.#all.delete(one)
    this.#all.add(session)
    return session
  }

  /**
   * Runs a query of the library's own: on a connection that is free, between two uses of a session with locks, or beside
   * the pool, so that one which is full of waiting sessions can still find out what they wait for.
   */
  readonly ask = async (statement: Statement, deadline: Deadline): Promise<readonly unknown[]> => {
    const slot = this.#server.pool.tryAcquire()
    if (slot !== undefined) {
      try {
        return (await slot.resource.run(statement, deadline)).rows
      } finally {
        this.#server.release(slot)
      }
    }
    const quiet = [...this.#all].find((session) => session.isUsable && session.load === 0)
    const { rows } =
      quiet === undefined
        ? await this.#server.runBeside('locks', (connection) => connection.run(statement, deadline), deadline, true)
        : // Without the limit: a statement that is cancelled may take the session, and the locks with it, down.
          await deadline.within(quiet.use((connection) => connection.run(statement, noDeadline), deadline))
    return rows
  }

  async #openShared(deadline: Deadline, holder: WorkContext): Promise<LockSession> {
    const opening = this.open(deadline, holder).then((session) => {
      this.#shared.add(session)
      return session
    })
    this.#opening.add(opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(opening)
    }
  }

  #leastLoaded(): LockSession | undefined {
    let best: LockSession | undefined
    for (const session of this.#shared) {
      if (!session.isUsable) this.#shared.delete(session)
      else if (!session.isOccupied && (best === undefined || session.load < best.load)) best = session
    }
    return best
  }
}
