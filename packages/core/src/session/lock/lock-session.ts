import type { Clock } from '../../base/clock.js'
import { type Limit, limitOf } from '../../base/limit.js'
import { within } from '../../errors/given-up.js'
import { ownedBy } from '../../errors/origin.js'
import { ConnectionLostError } from '../../errors/pool-errors.js'
import type { ConnectionSlot, Host } from '../../host/host.js'
import type { Connection } from '../../wire/connection.js'
import type { OpenTransaction } from '../ambient.js'
import type { Ask } from './ask.js'
import { type Beating, Heartbeat, type HeartbeatTimes } from './heartbeat.js'
import type { LockMode } from './held-lock.js'
import { Hold, type Loss } from './hold.js'
import type { ServerKey } from './lock-key.js'
import { allowIdle } from './lock-sql.js'

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
  readonly #host: Host
  readonly #clock: Clock
  readonly #heartbeat: Heartbeat
  readonly #holds = new Set<Hold>()
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

  constructor(host: Host, slot: ConnectionSlot, times: HeartbeatTimes, ask: Ask) {
    this.slot = slot
    this.#host = host
    host.pool.heldAsAsked(slot)
    this.#clock = host.environment.clock
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

  letGo(): void {
    this.#keepers -= 1
    this.#endIfIdle()
  }

  /** Runs `fn` with the session for itself: what comes later waits, so that nobody's statement lands in a transaction. */
  async use<T>(fn: (connection: Connection) => Promise<T>, limit: Limit): Promise<T> {
    const before = this.#tail
    const done = Promise.withResolvers<void>()
    this.#tail = before.then(() => done.promise)
    this.#users += 1
    this.#heartbeat.start()
    try {
      if (this.#users > 1) await within(before, limit, this.#clock)
      if (!this.isUsable) {
        const cause = this.connection.lostWith ?? new Error('it was given back')
        throw ownedBy(new ConnectionLostError(false, { cause }), this.#host.environment)
      }
      return await fn(this.connection)
    } finally {
      this.#users -= 1
      done.resolve()
      this.#endIfIdle()
    }
  }

  /** Like `use`, for a transaction of one of its locks. */
  async occupy<T>(fn: () => Promise<T>, limit: Limit): Promise<T> {
    this.#transactions += 1
    try {
      return await this.use(fn, limit)
    } finally {
      this.#transactions -= 1
    }
  }

  /** Like `use`, for a wait in the server's queue. */
  async wait<T>(fn: (connection: Connection) => Promise<T>, limit: Limit): Promise<T> {
    this.#isWaiting = true
    try {
      return await this.use(fn, limit)
    } finally {
      this.#isWaiting = false
    }
  }

  /** From now on it may idle for as long as it is needed; before, this was the bound. */
  staysIdle(before: string | undefined): void {
    this.#idleBefore ??= before
  }

  /** The session holds these as well. To be called while it is in use. */
  hold(keys: readonly ServerKey[], mode: LockMode): Hold {
    const hold = new Hold(keys, mode, (released) => {
      if (this.#holds.delete(released)) this.#endIfIdle()
    })
    this.#holds.add(hold)
    return hold
  }

  /** Declares the session lost, and tears it down: the server then gives its locks to others. */
  giveUp(why: string, cause: unknown): void {
    this.#stopListening()
    this.connection.destroy()
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
    if (this.#idleBefore === undefined || !this.connection.isAlive) this.#host.release(this.slot)
    else void this.#boundIdle(this.#idleBefore)
  }

  /** What was set for the locks does not stay for whoever has the connection next. */
  async #boundIdle(before: string): Promise<void> {
    try {
      await allowIdle(this.connection, before, limitOf({ timeoutMs: tidyBoundMs }, this.#clock))
    } catch {
      // Nobody waits for it; a connection that cannot be tidied up is of no use to anybody.
      this.connection.destroy()
    }
    this.#host.release(this.slot)
  }

  #lose(why: string, cause: unknown): void {
    if (this.#isOver) return
    this.#end()
    const loss: Loss = { why, cause }
    for (const hold of [...this.#holds]) hold.lose(loss)
  }
}
