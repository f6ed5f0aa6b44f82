import { type Connection, onNotification } from '../connection/connection.js'
import { Statement } from '../connection/statement.js'
import { jitter } from '../deadline/clock.js'
import { Deadline, givenUp, noDeadline, sleep } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { DeadlockError, LockTimeoutError, LockUnsupportedError } from '../errors/transaction-errors.js'
import type { PoolEnvironment } from '../resource-pool/resource.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { Server } from '../server/server.js'
import { labelOf, type ServerKey } from '../sql/lock-key.js'
import { quoteIdentifier } from '../sql/quote.js'
import type { FencingToken, LockMode } from '../transaction/held-lock.js'
import { lockSession, type SessionAnswer, tryLockSession, unlockAll, unlockSession } from '../transaction/lock-sql.js'
import { DeadlockWatch, LockBoard } from './deadlock-detector.js'
import { LockQueue } from './local-queue.js'
import type { LockLease, LockSession, LockSessions } from './lock-session.js'
import { testSessionLocks } from './self-test.js'

/** Names that are remembered; those that were used longest ago are forgotten first. */
const most = 10_000
/** Characters of all of them together. */
const mostCharacters = 1_000_000
/** A longer one is not remembered: it is somebody's data, and would push out what can be read. */
export const longestName = 1_000

/** The names of keys, as far as this process has hashed them lately: a hash cannot be turned back. */
export class LockNames {
  readonly #names = new Map<string, string>()
  #characters = 0
  /**
   * Where to go on with forgetting: a new iterator would first pass all that was deleted since the table was last made
   * anew. It is dropped when names move to the end, as it holds on to every table that it has not passed yet.
   */
  #oldest: MapIterator<[string, string]> | undefined

  remember(id: string, name: string): void {
    if (name.length > longestName) return
    const known = this.#names.get(id)
    if (known === undefined) this.#characters += name.length
    else {
      this.#names.delete(id)
      this.#oldest = undefined
    }
    this.#names.set(id, known ?? copyOf(name))
    while (this.#names.size > most || this.#characters > mostCharacters) {
      this.#oldest ??= this.#names.entries()
      const { value } = this.#oldest.next()
      if (value === undefined) throw new Error('bug: more is counted than is remembered')
      const [oldest, { length }] = value
      this.#names.delete(oldest)
      this.#characters -= length
    }
  }

  nameOf(id: string): string | undefined {
    return this.#names.get(id)
  }
}

/** A name that was cut out of a large text keeps all of that text in memory. */
function copyOf(name: string): string {
  return Buffer.from(name, 'utf16le').toString('utf16le')
}

/** How often a waiter tries again, give or take a quarter: a holder that dies wakes nobody. */
const tryAgainMs = 1_000

/**
 * Waits for a session-level lock without standing in the server's queue: the session asks, idles, and asks again when
 * somebody gives the lock back, or after a second. A statement that waits in the queue holds a snapshot, and CREATE
 * INDEX CONCURRENTLY waits for all of them: https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 *
 * The token is undefined when the lock was not free before `wait` was over.
 */
export async function waitIdle(
  connection: Connection,
  key: ServerKey,
  mode: LockMode,
  wait: Deadline,
  deadline: Deadline,
  { clock, random }: Pick<PoolEnvironment, 'clock' | 'random'>,
): Promise<SessionAnswer> {
  const first = await tryLockSession(connection, [key], mode)
  if (first.token !== undefined) return first
  const { idleBefore } = first
  const channel = channelOf(key)
  let wakeUp = new AbortController()
  const stopHearing = onNotification(connection, (message) => {
    if (message.channel === channel) wakeUp.abort()
  })
  const stopWatching = connection.onLost(() => wakeUp.abort())
  try {
    await connection.run(new Statement({ text: `listen ${quoteIdentifier(channel)}` }), deadline)
    for (;;) {
      wakeUp = new AbortController()
      const { token } = await tryLockSession(connection, [key], mode)
      if (token !== undefined) return { token, idleBefore }
      const forMs = Math.min(wait.remainingMs(), jitter(tryAgainMs, 0.25, random))
      if (forMs <= 0) return { token: undefined, idleBefore }
      await sleep(forMs, clock, deadline.and(wakeUp.signal))
      const reached = deadline.reached()
      if (reached !== undefined) throw givenUp(reached, 'cancelled')
      if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
    }
  } finally {
    stopHearing()
    stopWatching()
    // What was set for the wait does not stay for whoever has the connection next; nobody has to wait for it.
    connection
      .run(new Statement({ text: `unlisten ${quoteIdentifier(channel)}` }), noDeadline)
      .catch(() => connection.terminate())
  }
}

/** Wakes those who wait idle for these keys, in all processes. */
export async function wake(connection: Connection, keys: readonly ServerKey[]): Promise<void> {
  const text = keys
    .map((_, index) => `pg_catalog.pg_notify($${index + 1}::pg_catalog.text, ''::pg_catalog.text)`)
    .join(', ')
  try {
    await connection.run(new Statement({ text: `select ${text}`, values: keys.map(channelOf) }), noDeadline)
  } catch {
    // They try again by themselves, a little later. What has become of the connection its session knows.
  }
}

function channelOf({ id }: ServerKey): string {
  return `lifeguard.lock.${id}`
}

/** What is asked for. */
export interface LockRequest {
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  /** `0` does not wait. */
  readonly waitMs: number
  readonly dedicated: boolean
  /** See CheckedLockOptions. */
  readonly waitsIdle?: boolean | undefined
  /** Keys that are held around the request. */
  readonly holds: ReadonlySet<string>
  readonly deadline: Deadline
  readonly holder: WorkContext
}

/** Locks that were granted, all on one session. */
export interface LockGrant {
  readonly session: LockSession
  readonly keys: readonly ServerKey[]
  readonly mode: LockMode
  readonly token: FencingToken
  readonly hold: LockLease
  /** Whether others may wait idle for it, and have to be woken. */
  readonly wakes: boolean
  /** Lets the next ones of this process go for the same keys; to be called when the locks are released or lost. */
  readonly leaveQueue: () => void
}

/** What the server gave. */
type OnServer = Pick<LockGrant, 'session' | 'token' | 'hold' | 'wakes'>

/** How one waits on a session. */
interface Waiting {
  /** Aborted with a DeadlockError. */
  readonly circle: AbortController
  /** Ends the watch for circles. */
  readonly stop: () => void
  readonly ask: (connection: Connection, deadline: Deadline) => Promise<SessionAnswer>
  readonly wakes: boolean
}

/** How many sessions may be lost under one request before it fails: a session that ends takes no lock with it. */
const mostSessions = 3

/** Grants locks: first inside this process, then on a shared session, and only when that must wait on one of its own. */
export class LockGrants {
  readonly deadlocks: DeadlockWatch
  readonly #server: Server
  readonly #sessions: LockSessions
  readonly #names: LockNames
  /** Under way, or settled well: session locks are known to work here. */
  #tested: Promise<void> | undefined
  readonly #queue = new LockQueue()

  /** @param selfTest off takes it for granted that session locks work */
  constructor(server: Server, sessions: LockSessions, names: LockNames, selfTest: boolean) {
    this.#server = server
    this.#sessions = sessions
    this.#names = names
    this.deadlocks = new DeadlockWatch(sessions.ask, new LockBoard(server), server.environment.clock)
    if (!selfTest) this.#tested = Promise.resolve()
  }

  /**
   * @throws LockTimeoutError when the locks were not free within `waitMs`; DeadlockError when they can never become free
   */
  async grant(request: LockRequest): Promise<LockGrant> {
    const { clock } = this.#server.environment
    const { keys, mode, waitMs, deadline } = request
    await this.#testOnce(request)
    for (const { id, name } of keys) if (name !== undefined) this.#names.remember(id, name)
    const since = clock.now()
    const wait = Deadline.after(waitMs, clock)
    const entered: (() => void)[] = []
    const leaveQueue = (): void => {
      for (const leave of entered.splice(0)) leave()
    }
    try {
      for (const key of keys) entered.push(await this.#enter(key, request, wait.tighter(deadline)))
      const granted = await this.#onServer(request, wait)
      const reached = deadline.reached()
      if (reached === undefined) return { ...granted, keys, mode, leaveQueue }
      // Granted at the very moment of giving up: nobody is there to take it.
      await releaseGrant(granted, keys, mode)
      throw givenUp(reached, 'cancelled')
    } catch (error) {
      leaveQueue()
      throw this.#explain(error, request, clock.now() - since)
    }
  }

  /** Before the first lock of the pool. A test that could not be made is made again; one that failed is final. */
  async #testOnce({ deadline, holder }: LockRequest): Promise<void> {
    while (this.#tested !== undefined) {
      const reached = deadline.reached()
      if (reached !== undefined) throw givenUp(reached, 'not-sent')
      const tested = this.#tested
      // What keeps another caller from making the test, its deadline or its signal, is no answer for this one.
      const answer = await deadline.within(tested.then(...settled))
      if (answer === 'works') return
      if (answer instanceof LockUnsupportedError) throw answer
      if (this.#tested === tested) this.#tested = undefined
    }
    const test = testSessionLocks(this.#server, deadline, holder.parent)
    this.#tested = test
    try {
      await test
    } catch (error) {
      if (!(error instanceof LockUnsupportedError) && this.#tested === test) this.#tested = undefined
      throw error
    }
  }

  /** One's turn inside this process. */
  async #enter(key: ServerKey, request: LockRequest, deadline: Deadline): Promise<() => void> {
    const { mode, holds, waitMs, keys } = request
    const entered = this.#queue.tryEnter(key.id, mode)
    if (entered !== undefined) return entered
    if (waitMs === 0) throw new LockTimeoutError(labelOf(keys), 0)
    const held = new Set([...holds, ...keys.filter(({ id }) => id < key.id).map(({ id }) => id)])
    const circle = new AbortController()
    const stop = this.deadlocks.inside(key.id, held, () => circle.abort(deadlockOf(keys)))
    if (stop === undefined) throw deadlockOf(keys)
    try {
      return await this.#queue.enter(key.id, mode, deadline.and(circle.signal))
    } catch (error) {
      throw circle.signal.aborted ? circle.signal.reason : error
    } finally {
      stop()
    }
  }

  /** A session that is lost while a lock is asked for has taken none with it, or has released it: then on another. */
  async #onServer(request: LockRequest, wait: Deadline): Promise<OnServer> {
    for (let sessions = 1; ; sessions++) {
      const used: LockSession[] = []
      try {
        return await this.#onSessions(request, wait, used)
      } catch (error) {
        const isLost = used.some(({ isUsable }) => !isUsable) && classify(error) === 'connection'
        if (!isLost || sessions === mostSessions) throw error
      } finally {
        for (const session of used) session.leave()
      }
    }
  }

  async #onSessions(request: LockRequest, wait: Deadline, used: LockSession[]): Promise<OnServer> {
    const { deadline, holder, dedicated, waitMs, keys } = request
    if (!dedicated) {
      const shared = await this.#sessions.share(deadline, holder)
      used.push(shared)
      const granted = await this.#tryOn(shared, request)
      if (granted !== undefined) return granted
      if (waitMs === 0) throw new LockTimeoutError(labelOf(keys), 0)
      // Before a second one is asked for: in a pool of one, its connection is the one to wait with.
      used.pop()
      shared.leave()
    }
    const own = await this.#sessions.open(deadline, holder)
    used.push(own)
    if (request.waitsIdle === true && waitMs > 0) return await this.#waitIdle(own, request, wait)
    if (waitMs > 0) return await this.#waitOn(own, request, wait)
    const granted = await this.#tryOn(own, request)
    if (granted === undefined) throw new LockTimeoutError(labelOf(keys), 0)
    return granted
  }

  /**
   * Does not cancel what it sent when the caller gives up, as others hold locks on the session: a lock that is granted
   * to nobody is released.
   */
  #tryOn(
    session: LockSession,
    { keys, mode, deadline, waitsIdle = false }: LockRequest,
  ): Promise<OnServer | undefined> {
    return new Promise((resolve, reject) => {
      const reached = deadline.reached()
      let isGone = reached !== undefined
      if (reached !== undefined) reject(givenUp(reached, 'not-sent'))
      const stop = deadline.watch((reason) => {
        isGone = true
        reject(givenUp(reason, 'cancelled'))
      })
      const attempt = async (): Promise<void> => {
        const { connection } = session
        if (isGone) return
        const { token, idleBefore } = await tryLockSession(connection, keys, mode)
        session.staysIdle(idleBefore)
        if (isGone && token !== undefined) {
          if (!(await unlockSession(connection, keys, mode))) session.giveUp('it lost a lock', undefined)
        } else
          resolve(
            token === undefined ? undefined : { session, token, hold: session.hold(keys, mode), wakes: waitsIdle },
          )
      }
      session.use(attempt, noDeadline).then(stop, (error: unknown) => {
        stop()
        reject(error)
      })
    })
  }

  async #waitOn(session: LockSession, request: LockRequest, wait: Deadline): Promise<OnServer> {
    const { keys, mode, holds } = request
    const circle = new AbortController()
    const ids = keys.map(({ id }) => id)
    const watched = this.deadlocks.onServer(ids, holds, () => circle.abort(deadlockOf(keys)))
    const ask = (connection: Connection, deadline: Deadline): Promise<SessionAnswer> =>
      lockSession(connection, keys, mode, wait.remainingMs(), watched.note, deadline)
    return await this.#wait(session, request, { circle, stop: () => watched.stop(), ask, wakes: false })
  }

  /** Like `#waitOn`, but outside of the server's queue, in which one holds a snapshot. */
  async #waitIdle(session: LockSession, request: LockRequest, wait: Deadline): Promise<OnServer> {
    const { keys, mode, holds } = request
    const [key] = keys
    if (key === undefined || keys.length > 1) throw new Error('bug: one key at a time is waited for idle')
    const circle = new AbortController()
    // The server does not know that somebody waits.
    const stop = this.deadlocks.inside(key.id, holds, () => circle.abort(deadlockOf(keys)))
    if (stop === undefined) throw deadlockOf(keys)
    const ask = (connection: Connection, deadline: Deadline): Promise<SessionAnswer> =>
      waitIdle(connection, key, mode, wait, deadline, this.#server.environment)
    return await this.#wait(session, request, { circle, stop, ask, wakes: true })
  }

  /** A wait on a session of its own, which a circle of waits breaks off; then, and in vain, nothing is left there. */
  async #wait(session: LockSession, request: LockRequest, { circle, stop, ask, wakes }: Waiting): Promise<OnServer> {
    const { keys, mode, holder, deadline, waitMs } = request
    const bounds = deadline.and(circle.signal)
    holder.held += 1
    try {
      return await session.wait(async (connection) => {
        try {
          const { token, idleBefore } = await ask(connection, bounds)
          session.staysIdle(idleBefore)
          if (token === undefined) throw new LockTimeoutError(labelOf(keys), waitMs)
          return { session, token, hold: session.hold(keys, mode), wakes }
        } catch (error) {
          // Some of several may have been granted, or one at the last moment. This runs after a cancel that is under
          // way, and the release of the connection waits for it; the caller does not.
          if (connection.isAlive) unlockAll(connection).catch(() => connection.terminate())
          throw circle.signal.aborted ? circle.signal.reason : error
        }
      }, bounds)
    } finally {
      holder.held -= 1
      stop()
    }
  }

  #explain(error: unknown, { keys, waitMs }: LockRequest, waitedMs: number): unknown {
    const label = labelOf(keys)
    if (error instanceof LockTimeoutError || error instanceof DeadlockError) return error
    if (error instanceof OperationTimeoutError && error.timeoutMs === waitMs) {
      return new LockTimeoutError(label, waitedMs, { cause: error })
    }
    const kind = classify(error)
    if (kind === 'contended') return new LockTimeoutError(label, waitedMs, { cause: error })
    if (kind === 'deadlock') return new DeadlockError(label, { cause: error })
    return error
  }
}

function deadlockOf(keys: readonly ServerKey[]): DeadlockError {
  return new DeadlockError(labelOf(keys), { cause: undefined })
}

/** Gives locks back on the server. A session that did not hold them any more is torn down, and all its locks are lost. */
export async function releaseGrant(
  { session, hold, wakes }: Pick<LockGrant, 'session' | 'hold' | 'wakes'>,
  keys: readonly ServerKey[],
  mode: LockMode,
): Promise<void> {
  try {
    const held = await session.use(async (connection) => {
      const wasHeld = await unlockSession(connection, keys, mode)
      if (wakes) await wake(connection, keys)
      return wasHeld
    }, noDeadline)
    if (!held) session.giveUp('its session did not hold it any more at the end', undefined)
  } catch (error) {
    session.giveUp('its session had ended when it was to be given back', error)
  } finally {
    hold.release()
  }
}

/** What came of a self-test, for those who did not make it. */
const settled = [(): 'works' => 'works', (error: unknown): unknown => error] as const
