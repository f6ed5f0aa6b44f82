import type { Clock, Timer } from '../../base/clock.js'
import type { Limit } from '../../base/limit.js'
import { within } from '../../errors/given-up.js'
import { OperationTimeoutError } from '../../errors/operation-errors.js'
import type { Connection } from '../../wire/connection.js'
import { signOfLife } from '../../wire/sign-of-life.js'
import type { Ask } from './ask.js'
import { countOwnLocks } from './lock-sql.js'

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
  use<T>(fn: (connection: Connection) => Promise<T>, limit: Limit): Promise<T>
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
export class Heartbeat {
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
    const limit: Limit = { deadlineAt: this.#clock.now() + boundMs, timeoutMs: boundMs, signal: undefined }
    try {
      const isThere = await within(this.#look(limit), limit, this.#clock)
      if (!isThere && !this.#isOver) session.giveUp('the server does not know of it any more', undefined)
    } catch (error) {
      // An error that the server itself sent is a sign of life, and a socket that fails tells by itself.
      if (error instanceof OperationTimeoutError && !this.#isOver)
        session.giveUp(`its session gave no sign of life within ${boundMs} ms`, error)
    }
    this.#timer = undefined
    this.start()
  }

  /** Whether the server knows of the session and its locks. */
  async #look(limit: Limit): Promise<boolean> {
    const session = this.#session
    const { connection } = session
    if (!session.isTakenForLong) {
      const expected = session.locks
      const found = await session.use(() => countOwnLocks(connection, limit), limit)
      // Locks may have been given back since the question was asked, but none can have been added to the session.
      return found >= Math.min(expected, session.locks)
    }
    if (connection.isQuiet) {
      // Between two statements of a transaction. An empty statement changes nothing in it, not even in a failed one.
      await connection.run(signOfLife({ text: '' }), limit)
      return true
    }
    // Behind a statement that runs, no answer would come: another session is asked about this one.
    const [row] = (await this.#ask(signOfLife({ text: besideSql, values: [connection.pid] }), limit)) as {
      locks: number
      there: boolean
    }[]
    return row === undefined || row.there
  }
}
