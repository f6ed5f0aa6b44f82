import type { StatementCommand } from '../connection/command.js'
import type { Connection } from '../connection/connection.js'
import { type PgClient, PgPoolBase } from '../connection/pg-classes.js'
import type { Submittable } from '../connection/pg-internals.js'
import type { QueryResult } from '../connection/result.js'
import { nextTick } from '../deadline/clock.js'
import type { Deadline } from '../deadline/deadline.js'
import { beginRefused } from '../errors/operation-errors.js'
import { ownedBy } from '../errors/origin.js'
import { PoolClosedError } from '../errors/pool-errors.js'
import { inNoContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import { emitToUsers } from '../observe/user-callback.js'
import { sqlText } from '../sql/sql-text.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import type { LendClient } from './new-connection.js'
import { deadlineOf, PgClientView, type Release } from './pg-client.js'
import { JoinedSession, OwnSession, type PgSession, refusal } from './pg-session.js'
import {
  callBack,
  inWordsOfPg,
  type PgCallback,
  type PgStatementCall,
  pgQueryCall,
  queryTimeoutOf,
} from './query-call.js'

/** The pool behind the facade. */
export interface PoolBehind {
  execute(command: StatementCommand, deadline: Deadline): Promise<QueryResult>
  end(): Promise<void>
}

/**
 * A `pg.Pool` in look and manner, with the Lifeguard pool behind it: no connection of its own, no second limit. Inside
 * an open transaction of the pool everything that is asked of it belongs to that transaction.
 */
export class PgPoolFacade extends PgPoolBase {
  // Drizzle looks for 'Pool' in the name of the class, rate-limiter-flexible for this very name, which the class of pg has;
  // and minifiers rename classes: a property they leave alone.
  static override readonly name = 'BoundPool'
  readonly #pool: PoolBehind
  readonly #environment: SessionEnvironment
  /** The one client of each connection, over all the times that it is handed out. */
  readonly #clients = new WeakMap<Connection, PgClientView>()
  /** Those that are open, oldest first. */
  readonly #open = new Set<Connection>()
  /** How often a connection was reported as acquired, and not as released. */
  readonly #acquired = new WeakMap<Connection, number>()
  /** Whether it was this view that was asked to end the pool; `cancelEnd` of the pool undoes it. */
  #ended = false

  constructor(pool: PoolBehind, environment: SessionEnvironment) {
    super(environment.server.pgOptions())
    this.#pool = pool
    this.#environment = environment
    const { server } = environment
    // Not for everybody who prints the options.
    for (const name of ['connectionString', 'password']) {
      if (name in this.options) Object.defineProperty(this.options, name, { enumerable: false })
    }
    // It can be resized.
    Object.defineProperty(this.options, 'max', { get: () => server.pool.max, enumerable: true, configurable: true })
    // The constructor of pg.Pool has made plain fields of these.
    Object.defineProperties(this, {
      _clients: { get: () => Array.from(this.#open, (connection) => this.#clientOf(connection)), configurable: true },
      ending: { get: () => server.pool.isEnding, configurable: true },
      ended: { get: () => server.pool.isEnding && server.pool.total === 0, configurable: true },
    })
    // A lost connection is for those who listen; without anybody 'error' would end the process.
    this.on('error', noop)
    // Nor does that of a client: programs that look whether somebody has seen to it, as graphile-worker does, find that it was.
    this.on('connect', noop)
    server.observer.checkouts = {
      opened: (connection) => this.#opened(connection),
      acquired: (connection) => {
        this.#acquired.set(connection, (this.#acquired.get(connection) ?? 0) + 1)
        if (this.listenerCount('acquire') > 0) emitToUsers(this, 'acquire', this.#clientOf(connection))
      },
      released: (connection) => {
        // Statements that shared it were checkouts of their own to `pg`.
        for (let times = this.#acquired.get(connection) ?? 0; times > 0; times--) this.#released(connection, undefined)
      },
    }
  }

  get totalCount(): number {
    const { total, connecting, closing } = this.#environment.server.pool
    return total - closing + connecting
  }
  get idleCount(): number {
    return this.#environment.server.pool.idle
  }
  get waitingCount(): number {
    return this.#environment.server.pool.waiting
  }
  /** Connections that are too old leave as soon as they are idle: none is ever kept. */
  get expiredCount(): number {
    return 0
  }

  /** A client of one's own, until its `release`. */
  connect(callback?: (error: unknown, client: PgClientView | undefined, release: Release) => void): unknown {
    const connecting = this.#checkOut()
    if (callback === undefined) return connecting
    connecting.then(
      (client) => nextTick(callback, undefined, client, client.release),
      (error: unknown) => nextTick(callback, error, undefined, noop),
    )
    return undefined
  }

  /** In the forms of `pg`: a promise, or a callback, or a Submittable that comes back as it is. */
  query(query: unknown, values?: unknown, callback?: unknown): unknown {
    if (typeof query === 'function') {
      const failed = Promise.reject(
        new Error('Passing a function as the first parameter to pool.query is not supported'),
      )
      callBack(failed, query as PgCallback, undefined)
      return undefined
    }
    const call = pgQueryCall(query, values, callback)
    if (call.kind === 'submittable') {
      void this.#submit(call.submittable, call.timeoutMs)
      return call.submittable
    }
    const promise = this.#run(call)
    if (call.callback === undefined) return promise
    callBack(promise, call.callback, undefined)
    return undefined
  }

  /** Ends the Lifeguard pool, with its own bound on how long that may take. */
  end(callback?: PgCallback): Promise<void> | undefined {
    const again = this.#ended && this.#environment.server.pool.isEnding
    this.#ended = true
    const ended = again ? Promise.reject(new Error('Called end on pool more than once')) : this.#pool.end()
    if (callback === undefined) return ended
    callBack(ended, callback, undefined)
    return undefined
  }

  /** Lends the client of a new connection to who prepares it, before anybody else has it. */
  lendNew(session: PgSession): ReturnType<LendClient> {
    const client = this.#clientOf(session.connection)
    return { client: client as unknown as PgClient, release: client.lendNew(session) }
  }

  async #run(call: PgStatementCall): Promise<QueryResult> {
    const timeoutMs = call.timeoutMs ?? queryTimeoutOf(this.options)
    const { text } = call.config
    try {
      // What is no text is for `pg` to refuse.
      const sql = typeof text === 'string' ? sqlText(text) : undefined
      if (this.#environment.ambient.current?.transaction === undefined && sql?.effects.leavesOpen === true) {
        throw beginRefused()
      }
      if (call.native !== undefined) {
        const client = await this.#checkOut()
        try {
          return (await client.query({ ...call.config, query_timeout: timeoutMs })) as QueryResult
        } finally {
          client.release()
        }
      }
      const { ambient } = this.#environment
      if (ambient.current?.transaction !== undefined) {
        const control = sql?.control
        if (control !== undefined) throw refusal(control.kind)
      } else {
        this.#assertOpen()
      }
      return await this.#pool.execute(call, deadlineOf(timeoutMs, ambient))
    } catch (error) {
      throw inWordsOfPg(error, timeoutMs)
    }
  }

  async #submit(submittable: Submittable, timeoutMs: number | undefined): Promise<void> {
    let client: PgClientView
    try {
      client = await this.#checkOut()
    } catch (error) {
      const { handleError } = submittable as { handleError?(error: unknown): void }
      handleError?.call(submittable, error)
      return
    }
    try {
      await client.submit(submittable, timeoutMs)
    } catch {
      // It has been called, and answers its owner.
    }
    client.release()
  }

  async #checkOut(): Promise<PgClientView> {
    try {
      const { ambient } = this.#environment
      const deadline = ambient.deadlineFor(undefined)
      const open = ambient.current?.transaction
      // What was begun before the end is finished.
      if (open !== undefined) return this.#joined(await JoinedSession.join(open, deadline))
      this.#assertOpen()
      const { cluster, server } = this.#environment
      const causality = cluster === undefined ? undefined : ambient.current?.causality
      const slot = await server.acquire(deadline, ambient.current?.holder)
      const { resource: connection } = slot
      const client = this.#clientOf(connection)
      client.lend(new OwnSession(server, slot), {
        releasing: (error) => this.#released(connection, error),
        released: (isEarly) => {
          // Who gave it back without knowing it still has the object: the next one gets another.
          if (isEarly) {
            client.detach()
            this.#clients.delete(connection)
          }
          // What is written on it is seen by the reads after its release.
          causality?.noteUnknown()
        },
      })
      return client
    } catch (error) {
      throw inWordsOfPg(error)
    }
  }

  /** A client of its own: what it begins is a savepoint, on a connection that others use as well. */
  #joined(session: JoinedSession): PgClientView {
    const { ambient } = this.#environment
    const client = new PgClientView(session.connection, ambient, this.options)
    emitToUsers(this, 'acquire', client)
    client.lend(session, {
      releasing: (error) => emitToUsers(this, 'release', error, client),
      released: () => client.detach(),
    })
    return client
  }

  #released(connection: Connection, error: Error | boolean | undefined): void {
    const times = this.#acquired.get(connection) ?? 0
    // That it was lost while somebody had it is for that one, and is reported after this.
    if (times <= 1 && connection.isAlive) this.#acquired.delete(connection)
    else this.#acquired.set(connection, Math.max(0, times - 1))
    if (times > 0 && this.listenerCount('release') > 0) emitToUsers(this, 'release', error, this.#clientOf(connection))
  }

  #opened(connection: Connection): void {
    const client = this.#clientOf(connection)
    this.#open.add(connection)
    connection.client.once('end', () => {
      this.#open.delete(connection)
      inNoContext(() => emitToUsers(this, 'remove', this.#clients.get(connection) ?? client))
    })
    inNoContext(() => client.whileNew(() => emitToUsers(this, 'connect', client)))
  }

  #clientOf(connection: Connection): PgClientView {
    const known = this.#clients.get(connection)
    if (known !== undefined) return known
    const client = new PgClientView(connection, this.#environment.ambient, this.options)
    this.#clients.set(connection, client)
    // The loss of an idle one is reported by the pool; that of one in use by the client, or by its statement. An error that somebody else finds
    // fit to report on the client ends its connection, as with pg.
    let isOver = false
    client.onError = (cause) => {
      if (isOver || client.isLent || this.#acquired.has(connection)) return
      isOver = true
      client.ending()
      // Not for everybody who prints the error.
      if (Object.isExtensible(cause)) Object.defineProperty(cause, 'client', { value: client, configurable: true })
      if (connection.isAlive) connection.terminate()
      emitToUsers(this, 'error', cause, client)
    }
    return client
  }

  #assertOpen(): void {
    if (!this.#environment.server.pool.isEnding) return
    // The message is pg's, the cause says it to those who look for the pool's own.
    const cause = ownedBy(new PoolClosedError('no connection is given out'), this.#environment.server.environment)
    throw new Error('Cannot use a pool after calling end on the pool', { cause })
  }
}
