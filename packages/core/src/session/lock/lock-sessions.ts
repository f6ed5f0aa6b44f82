import type { Limit } from '../../base/limit.js'
import type { Host } from '../../host/host.js'
import type { Holder } from '../../pool/waiter.js'
import { type Heartbeat, LockSession } from './lock-session.js'

/**
 * The sessions that hold the locks of a pool: a few that are shared by all locks that were free when they were asked
 * for, so that a thousand locks do not take a thousand connections. A session is there only while it holds a lock.
 */
export class LockSessions {
  readonly #host: Host
  readonly #most: number
  readonly #heartbeat: Heartbeat
  readonly #shared = new Set<LockSession>()
  readonly #opening = new Set<Promise<LockSession>>()

  constructor(host: Host, most: number, heartbeat: Heartbeat) {
    this.#host = host
    this.#most = most
    this.#heartbeat = heartbeat
  }

  /** A session to share: an idle one, a new one while there may be more, or the one with the least to do. */
  async share(limit: Limit, holder: Holder): Promise<LockSession> {
    for (;;) {
      const best = this.#leastLoaded()
      if (best !== undefined && (best.load === 0 || this.#shared.size + this.#opening.size >= this.#most)) return best
      if (this.#shared.size + this.#opening.size < this.#most) {
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
      // Whoever opens it may give up first: then the next round looks again.
      await Promise.race(this.#opening).catch(() => undefined)
    }
  }

  /** A session that is not shared. */
  async open(limit: Limit, holder: Holder): Promise<LockSession> {
    const { pool } = this.#host
    const slot = pool.tryAcquire() ?? (await pool.acquire(limit, holder))
    return new LockSession(this.#host, slot, this.#heartbeat)
  }

  /** Every session of the shared ones that holds locks now. */
  get shared(): readonly LockSession[] {
    return [...this.#shared].filter(({ isUsable }) => isUsable)
  }

  #leastLoaded(): LockSession | undefined {
    let best: LockSession | undefined
    for (const session of this.#shared) {
      if (!session.isUsable) this.#shared.delete(session)
      else if (best === undefined || session.load < best.load) best = session
    }
    return best
  }
}
