import type { Timer } from '../../base/clock.js'
import { type Limit, tighter, unlimited } from '../../base/limit.js'
import { classify } from '../../errors/classify.js'
import { DeadlockError, LockTimeoutError, LockUnsupportedError } from '../../errors/lock-errors.js'
import { OperationTimeoutError } from '../../errors/operation-errors.js'
import type { Host } from '../../host/host.js'
import type { Holder } from '../../pool/waiter.js'
import type { FencingToken, LockMode } from './held-lock.js'
import type { ServerKey } from './lock-key.js'
import type { LockNames } from './lock-names.js'
import { LockQueue } from './lock-queue.js'
import { testSessionLocks } from './lock-self-test.js'
import type { Hold, LockSession } from './lock-session.js'
import type { LockSessions } from './lock-sessions.js'
import { lockSession, tryLockSession, unlockAll } from './lock-sql.js'
import { type LockWait, LockWaits } from './lock-waits.js'
import { remoteWaits } from './remote-waits.js'

/** What is asked for. */
export interface LockRequest {
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  /** `0` does not wait. */
  readonly waitMs: number
  readonly dedicated: boolean
  /** Keys that are held around the request. */
  readonly holds: ReadonlySet<string>
  readonly limit: Limit
  readonly holder: Holder
}

/** Locks that were granted, all on one session. */
export interface LockGrant {
  readonly session: LockSession
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  readonly token: FencingToken
  readonly hold: Hold
  /** Lets the next ones of this process go for the same keys; to be called when the locks are given back or lost. */
  readonly leave: () => void
}

/** What the server gave. */
type OnServer = Pick<LockGrant, 'session' | 'token' | 'hold'>

/** How often a wait under other locks is looked at for a deadlock; as the server's own `deadlock_timeout`. */
const deadlockCheckMs = 1_000

/** Grants locks: first inside this process, then on a shared session, and only when that must wait on one of its own. */
export class LockGrants {
  readonly #host: Host
  readonly #sessions: LockSessions
  readonly #names: LockNames
  readonly #max: number
  /** Settled well once session locks are known to work here. */
  #tested: Promise<void> | undefined
  readonly #queue = new LockQueue()
  readonly #waits = new LockWaits()

  /** @param max the most connections of the pool; `selfTest` off takes it for granted that session locks work */
  constructor(host: Host, sessions: LockSessions, names: LockNames, max: number, selfTest: boolean) {
    this.#host = host
    this.#sessions = sessions
    this.#names = names
    this.#max = max
    if (!selfTest) this.#tested = Promise.resolve()
  }

  /**
   * @throws LockTimeoutError when the locks were not free within `waitMs`; DeadlockError when they can never become free
   */
  async grant(request: LockRequest): Promise<LockGrant> {
    const { clock } = this.#host.environment
    const { keys, waitMs, limit } = request
    await this.#testOnce(request)
    for (const { id, name } of keys) if (name !== undefined) this.#names.remember(id, name)
    const since = clock.now()
    const wait: Limit = { deadlineAt: since + waitMs, timeoutMs: waitMs, signal: undefined }
    const leaving: (() => void)[] = []
    const leave = (): void => {
      for (const one of leaving.splice(0)) one()
    }
    try {
      for (const key of keys) leaving.push(await this.#enter(key, request, tighter(wait, limit)))
      const left = (): number => Math.max(0, wait.deadlineAt - clock.now())
      const granted = await this.#onServer(request, left)
      return { ...granted, keys, mode: request.mode, leave }
    } catch (error) {
      leave()
      throw this.#explain(error, request, clock.now() - since)
    }
  }

  /** Before the first lock of the pool. A test that could not be made is made again; one that failed is final. */
  #testOnce({ limit, holder }: LockRequest): Promise<void> {
    this.#tested ??= testSessionLocks(this.#host, this.#max, limit, holder.parent).catch((error: unknown) => {
      if (!(error instanceof LockUnsupportedError)) this.#tested = undefined
      throw error
    })
    return this.#tested
  }

  /** One's turn inside this process. */
  async #enter(key: ServerKey, request: LockRequest, limit: Limit): Promise<() => void> {
    const { mode, holds, waitMs } = request
    const { clock } = this.#host.environment
    const entered = this.#queue.tryEnter(key.id, mode)
    if (entered !== undefined) return entered
    if (waitMs === 0) throw new LockTimeoutError(labelOf(request), 0)
    const held = new Set([...holds, ...request.keys.filter(({ id }) => id < key.id).map(({ id }) => id)])
    const wait: LockWait = { waitsFor: key.id, holds: held, pid: undefined }
    this.#waits.add(wait)
    try {
      if (this.#waits.circle(wait) !== undefined) throw new DeadlockError(labelOf(request), { cause: undefined })
      return await this.#queue.enter(key.id, mode, limit, clock)
    } finally {
      this.#waits.delete(wait)
    }
  }

  async #onServer(request: LockRequest, left: () => number): Promise<OnServer> {
    const { limit, holder, dedicated, waitMs } = request
    if (!dedicated) {
      const granted = await this.#tryOn(await this.#sessions.share(limit, holder), request)
      if (granted !== undefined) return granted
      if (waitMs === 0) throw new LockTimeoutError(labelOf(request), 0)
    }
    const session = await this.#sessions.open(limit, holder)
    if (waitMs > 0) return await this.#waitOn(session, request, left)
    const granted = await this.#tryOn(session, request)
    if (granted === undefined) throw new LockTimeoutError(labelOf(request), 0)
    return granted
  }

  async #tryOn(session: LockSession, { keys, mode, limit }: LockRequest): Promise<OnServer | undefined> {
    return await session.use(async (connection) => {
      const token = await tryLockSession(connection, keys, mode, limit)
      return token === undefined ? undefined : { session, token, hold: session.hold(keys.length) }
    }, limit)
  }

  async #waitOn(session: LockSession, request: LockRequest, left: () => number): Promise<OnServer> {
    const { keys, mode, holds, holder, limit } = request
    const circle = new AbortController()
    const bounds = tighter({ ...unlimited, signal: circle.signal }, limit)
    const stopWatching = this.#watchForDeadlock(request, session, circle)
    holder.held += 1
    try {
      return await session.use(async (connection) => {
        try {
          const token = await lockSession(connection, keys, mode, left(), holds, bounds)
          return { session, token, hold: session.hold(keys.length) }
        } catch (error) {
          // Some of several may have been granted, or one at the last moment. This runs behind a cancel that is under
          // way, and the release of the connection waits for it; the caller does not.
          if (connection.isAlive) unlockAll(connection).catch(() => connection.destroy())
          throw circle.signal.aborted ? circle.signal.reason : error
        }
      }, bounds)
    } finally {
      holder.held -= 1
      stopWatching()
    }
  }

  /**
   * While locks are held around the request, a wait may be part of a circle that goes over several sessions, which the
   * server cannot see. Of the sessions in a circle the one with the greatest process id gives way.
   */
  #watchForDeadlock(request: LockRequest, session: LockSession, circle: AbortController): () => void {
    const { holds, keys, limit } = request
    if (holds.size === 0) return () => undefined
    const { clock } = this.#host.environment
    const { pid } = session.connection
    const waits = keys.map(({ id }): LockWait => ({ waitsFor: id, holds, pid }))
    for (const wait of waits) this.#waits.add(wait)
    let stopped = false
    const look = async (): Promise<void> => {
      const elsewhere = await remoteWaits(this.#host, limit)
      const others = elsewhere.filter((wait) => wait.pid !== pid)
      const found = waits.map((wait) => this.#waits.circle(wait, others)).find((one) => one !== undefined)
      const pids = found?.flatMap((wait) => wait.pid ?? []) ?? []
      if (pid === Math.max(...pids)) circle.abort(new DeadlockError(labelOf(request), { cause: undefined }))
    }
    const lookLater = (): Timer =>
      clock.setTimer(deadlockCheckMs, () => {
        // A look that fails is made again: the wait itself goes on, bounded as before.
        void look()
          .catch(() => undefined)
          .then(() => {
            if (!stopped) timer = lookLater()
          })
      })
    let timer = lookLater()
    return () => {
      stopped = true
      clock.clearTimer(timer)
      for (const wait of waits) this.#waits.delete(wait)
    }
  }

  #explain(error: unknown, request: LockRequest, waitedMs: number): unknown {
    const label = labelOf(request)
    if (error instanceof LockTimeoutError || error instanceof DeadlockError) return error
    if (error instanceof OperationTimeoutError && error.timeoutMs === request.waitMs) {
      return new LockTimeoutError(label, waitedMs, { cause: error })
    }
    const kind = classify(error)
    if (kind === 'contended') return new LockTimeoutError(label, waitedMs, { cause: error })
    if (kind === 'deadlock') return new DeadlockError(label, { cause: error })
    return error
  }
}

/** The keys of a request in the words of who asks. */
export function labelOf({ keys }: Pick<LockRequest, 'keys'>): string {
  return keys.map(({ label }) => label).join(', ')
}
