import { type Limit, unlimited } from '../../base/limit.js'
import { within } from '../../errors/given-up.js'
import type { Host } from '../../host/host.js'
import type { Holder } from '../../pool/waiter.js'
import type { Statement } from '../../wire/statement.js'
import type { HeartbeatTimes } from './heartbeat.js'
import { LockSession } from './lock-session.js'

/**
 * The sessions that hold the locks of a pool: a few that are shared by all locks that were free when they were asked
 * for, so that a thousand locks do not take a thousand connections. A session is there only while it holds a lock.
 */
export class LockSessions {
  readonly #host: Host
  readonly #most: number
  readonly #times: HeartbeatTimes
  readonly #all = new Set<LockSession>()
  readonly #shared = new Set<LockSession>()
  readonly #opening = new Set<Promise<LockSession>>()

  /** @param most the most sessions that locks share */
  constructor(host: Host, most: number, times: HeartbeatTimes) {
    this.#host = host
    this.#most = most
    this.#times = times
  }

  /** Half of the pool at least, as large as it is now, is left to the work that is done under locks. */
  get #mostNow(): number {
    return Math.max(1, Math.min(this.#most, Math.floor(this.#host.pool.max / 2)))
  }

  /**
   * A session to share: an idle one, a new one while there may be more, or the one with the least to do. Never one that
   * a transaction occupies: that may itself wait for the lock. Kept for the caller, who lets it go.
   */
  async share(limit: Limit, holder: Holder): Promise<LockSession> {
    for (;;) {
      const best = this.#leastLoaded()
      const sessions = this.#shared.size + this.#opening.size
      if (best !== undefined && (best.load === 0 || sessions >= this.#mostNow)) {
        best.keep()
        return best
      }
      if (sessions < this.#mostNow) return await this.#openShared(limit, holder)
      if (this.#opening.size === 0) return await this.open(limit, holder)
      // Whoever opens it may give up first: then the next round looks again.
      const opened = Promise.race(this.#opening).then(nothing, nothing)
      await within(opened, limit, this.#host.environment.clock)
    }
  }

  /** A session that is not shared. Kept for the caller, who lets it go. */
  async open(limit: Limit, holder: Holder): Promise<LockSession> {
    const slot = this.#host.tryTake(holder) ?? (await this.#host.take(limit, holder))
    const session = new LockSession(this.#host, slot, this.#times, this.ask)
    session.keep()
    for (const one of this.#all) if (!one.isUsable) this.#all.delete(one)
    this.#all.add(session)
    return session
  }

  /**
   * Runs a query of the library's own: on a connection that is free, between two uses of a session with locks, or beside
   * the pool, so that one which is full of waiting sessions can still find out what they wait for.
   */
  readonly ask = async (statement: Statement, limit: Limit): Promise<readonly unknown[]> => {
    const slot = this.#host.pool.tryAcquire()
    if (slot !== undefined) {
      try {
        return (await slot.resource.run(statement, limit)).rows
      } finally {
        this.#host.release(slot)
      }
    }
    const quiet = [...this.#all].find((session) => session.isUsable && session.load === 0)
    const { rows } =
      quiet === undefined
        ? await this.#host.aside('locks', (connection) => connection.run(statement, limit), limit, true)
        : // Without the limit: a statement that is cancelled may take the session, and the locks with it, down.
          await within(
            quiet.use((connection) => connection.run(statement, unlimited), limit),
            limit,
            this.#host.environment.clock,
          )
    return rows
  }

  async #openShared(limit: Limit, holder: Holder): Promise<LockSession> {
    const opening = this.open(limit, holder).then((session) => {
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

const nothing = (): void => undefined
