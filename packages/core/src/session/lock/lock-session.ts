import type { Clock, Timer } from '../../base/clock.js'
import type { Limit } from '../../base/limit.js'
import { within } from '../../errors/given-up.js'
import type { ConnectionSlot, Host } from '../../host/host.js'
import type { Connection } from '../../wire/connection.js'
import { countOwnLocks } from './lock-sql.js'

/** How often, and for how long at most, a session with locks is asked whether it still has them. */
export interface Heartbeat {
  readonly everyMs: number
  readonly boundMs: number
}

/** Why a session with locks is gone. */
export interface Loss {
  readonly why: string
  readonly cause: unknown
}

/** Locks that a session holds for somebody. */
export class Hold {
  readonly count: number
  readonly #release: (hold: Hold) => void
  #loss: Loss | undefined
  #listener: ((loss: Loss) => void) | undefined

  constructor(count: number, release: (hold: Hold) => void) {
    this.count = count
    this.#release = release
  }

  /** Set once the session is lost, and the locks with it. */
  get loss(): Loss | undefined {
    return this.#loss
  }

  /** Calls back when the session is lost; at once when it has been. */
  onLost(listener: (loss: Loss) => void): void {
    this.#listener = listener
    if (this.#loss !== undefined) listener(this.#loss)
  }

  /** The locks have been given back. */
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

/**
 * A session that holds locks: one, or many side by side. It knows when it is lost: at once when its socket or the server
 * says so, and by its heartbeat when the network says nothing at all.
 */
export class LockSession {
  readonly slot: ConnectionSlot
  readonly #host: Host
  readonly #clock: Clock
  readonly #heartbeat: Heartbeat
  readonly #holds = new Set<Hold>()
  readonly #stopListening: () => void
  #timer: Timer | undefined
  /** Settles when the one who uses the session now is done. */
  #tail: Promise<void> = Promise.resolve()
  #users = 0
  #locks = 0
  #isOver = false

  constructor(host: Host, slot: ConnectionSlot, heartbeat: Heartbeat) {
    this.slot = slot
    this.#host = host
    this.#clock = host.environment.clock
    this.#heartbeat = heartbeat
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
  /** Locks that it holds for this process. */
  get locks(): number {
    return this.#locks
  }

  /** Runs `fn` with the session for itself: what comes later waits, so that nobody's statement lands in a transaction. */
  async use<T>(fn: (connection: Connection) => Promise<T>, limit: Limit): Promise<T> {
    const before = this.#tail
    const done = Promise.withResolvers<void>()
    this.#tail = before.then(() => done.promise)
    this.#users += 1
    try {
      if (this.#users > 1) await within(before, limit, this.#clock)
      return await fn(this.connection)
    } finally {
      this.#users -= 1
      done.resolve()
      this.#endIfIdle()
    }
  }

  /**
   * The session holds `count` locks more. To be called while it is in use, as a session without locks goes back to the
   * pool when its use ends.
   */
  hold(count: number): Hold {
    const hold = new Hold(count, (released) => {
      if (!this.#holds.delete(released)) return
      this.#locks -= released.count
      this.#endIfIdle()
    })
    this.#locks += count
    this.#holds.add(hold)
    this.#beatLater()
    return hold
  }

  /** Declares the session lost, and tears it down: the server then gives its locks to others. */
  giveUp(why: string, cause: unknown): void {
    this.connection.destroy()
    this.#lose(why, cause)
  }

  /** Nobody holds a lock of it and nobody uses it: the connection goes back. */
  #endIfIdle(): void {
    if (this.#locks > 0 || this.#users > 0 || this.#isOver) return
    this.#end()
  }

  #end(): void {
    this.#isOver = true
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
    this.#stopListening()
    this.#host.release(this.slot)
  }

  #lose(why: string, cause: unknown): void {
    if (this.#isOver) return
    this.#end()
    for (const hold of [...this.#holds]) hold.lose({ why, cause })
  }

  #beatLater(): void {
    if (this.#timer !== undefined || this.#isOver || this.#locks === 0) return
    this.#timer = this.#clock.setTimer(
      this.#heartbeat.everyMs,
      () => {
        this.#timer = undefined
        void this.#beat()
      },
      true,
    )
  }

  /** Asks the server whether the session still has its locks. One that is in use is known to be there by its use. */
  async #beat(): Promise<void> {
    if (this.#isOver) return
    if (this.#users === 0 && this.#locks > 0) {
      const { boundMs } = this.#heartbeat
      const limit: Limit = { deadlineAt: this.#clock.now() + boundMs, timeoutMs: boundMs, signal: undefined }
      const expected = this.#locks
      try {
        const found = await this.use(
          (connection) => within(countOwnLocks(connection, limit), limit, this.#clock),
          limit,
        )
        // Locks may have been given back since the question was asked, but none can have been added to the session.
        if (found < Math.min(expected, this.#locks)) this.giveUp('the server does not know of it any more', undefined)
      } catch (error) {
        this.giveUp(`its session gave no sign of life within ${boundMs} ms`, error)
      }
    }
    this.#beatLater()
  }
}
