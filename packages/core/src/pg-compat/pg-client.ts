import { AsyncLocalStorage } from 'node:async_hooks'
import type { Connection } from '../connection/connection.js'
import { PgClientBase, type PgClientFields, sameClient, takeIdentity } from '../connection/pg-classes.js'
import type { Submittable } from '../connection/pg-internals.js'
import type { QueryResult } from '../connection/result.js'
import { nextTick } from '../deadline/clock.js'
import type { Deadline } from '../deadline/deadline.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { inNoContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import { emitToUsers } from '../observe/user-callback.js'
import type { Ambient } from '../transaction/context.js'
import { type PgSession, standing } from './pg-session.js'
import {
  callBack,
  inWordsOfPg,
  type PgCallback,
  type PgStatementCall,
  pgQueryCall,
  queryTimeoutOf,
  reportedInWordsOfPg,
} from './query-call.js'

/** How a client is released: `true` or an error closes its connection. */
export type Release = (error?: Error | boolean) => void

/** What a client reports of its release. */
export interface Lending {
  /** Before its connection is. */
  releasing(error: Error | boolean | undefined): void
  /** After that. `isEarly`: its owner does not know it, and will call `release` yet. */
  released(isEarly: boolean): void
}

/** The connection whose listeners of 'connect' are at work: they prepare it, whether somebody has it by then or not. */
const preparing = new AsyncLocalStorage<Connection>()

/**
 * A `pg.Client` in look, over a connection of the pool: the same object each time that the connection is handed out, as
 * programs keep what they know of a session on it. Its statements stand in the connection's own line, so that cancelling,
 * clean-up and the state of the transaction stay known.
 */
export class PgClientView extends PgClientBase {
  // The name of pg's own class, which programs look for; minifiers leave a property alone.
  static override readonly name = 'Client'
  readonly #connection: Connection
  readonly #standing: PgSession
  readonly #ambient: Ambient
  readonly #options: { readonly query_timeout?: unknown }
  readonly #off: (() => void)[]
  readonly #offLost: () => void
  /** Whether it has been prepared, and not yet reported as connected. */
  #isNew = false
  /** While somebody has it. */
  #session: PgSession | undefined
  /** That of an owner who has given it back without knowing it: what he does yet is answered there. */
  #ended: PgSession | undefined
  #running = 0
  /** Set by the pool, which hears of each 'error' after its listeners: a listener of its own would be counted by programs. */
  onError: ((cause: object) => void) | undefined
  /** Gives it back. A second call of the same function throws, as with `pg`. */
  release: Release = throwOnDoubleRelease

  /** @param options those of its pool; `query_timeout` counts for whatever has none of its own */
  constructor(connection: Connection, ambient: Ambient, options: { readonly query_timeout?: unknown }) {
    const { client } = connection
    super(sameClient(client))
    takeIdentity(this, client)
    this.#connection = connection
    this.#standing = standing(connection)
    this.#ambient = ambient
    this.#options = options
    this.#off = ['notification', 'notice', 'end'].map((name) => {
      // In no context: it is about the session, and called while messages of the server are read.
      const listener = (message: unknown): boolean => inNoContext(() => emitToUsers(this, name, message))
      client.on(name as 'notice', listener)
      return () => client.off(name, listener)
    })
    Object.defineProperty(this, '_ending', { get: () => (client as unknown as PgClientFields)._ending })
    this.#offLost = connection.onLost((cause, isTornDown) => {
      // That the pool has ended what nobody has is no error.
      if (this.isLent || !isTornDown) this.emit('error', cause)
    })
  }

  /** A lost connection is for those who listen; without anybody 'error' would end the process. */
  override emit(name: string | symbol, ...news: readonly unknown[]): boolean {
    if (name !== 'error') return super.emit(name, ...news)
    const isHeard = emitToUsers(this, name, ...news)
    this.onError?.(Object(news[0]))
    return isHeard
  }

  /** Whether somebody has it, or nobody knows of it yet. */
  get isLent(): boolean {
    return this.#session !== undefined || this.#isNew
  }

  /** Lends it to who prepares its connection; returns the end of that. */
  lendNew(session: PgSession): () => void {
    this.#isNew = true
    this.#session = session
    return () => {
      if (this.#session === session) this.#session = undefined
    }
  }

  /** Hands it out, until `release`, or until the session ends by itself. */
  lend(session: PgSession, { releasing, released }: Lending): void {
    let isOver = false
    let isReleased = false
    const finish = (error: Error | boolean | undefined, isEarly: boolean): void => {
      if (isOver) return
      isOver = true
      if (this.#session === session) this.#session = undefined
      if (isEarly) this.#ended = session
      released(isEarly)
      if (isEarly) releasing(error)
    }
    this.#session = session
    session.onEnded = () => finish(undefined, true)
    this.release = (error) => {
      if (isReleased) throwOnDoubleRelease()
      isReleased = true
      this.#ended = undefined
      // In the order of pg: the event, then the connection goes to the next one.
      if (!isOver) releasing(error)
      if (this.#session === session) this.#session = undefined
      session.end(error !== undefined && error !== null && error !== false)
      finish(error, false)
    }
  }

  /** Calls those who prepare a new connection for its users: what they ask goes ahead of those, or beside them. */
  whileNew(tell: () => void): void {
    this.#isNew = false
    preparing.run(this.#connection, tell)
  }

  /** Its connection is being ended, for a reason that is known already: that it has ended is no error. */
  ending(): void {
    this.#offLost()
  }

  /** It stands for the connection no more: nothing that happens there is its affair. */
  detach(): void {
    this.#offLost()
    for (const off of this.#off.splice(0)) off()
  }

  /** In the forms of `pg`: a promise, or a callback, or a Submittable that comes back as it is. */
  query(query: unknown, values?: unknown, callback?: unknown): unknown {
    const call = pgQueryCall(query, values, callback)
    if (call.kind === 'submittable') {
      this.submit(call.submittable, call.timeoutMs).catch(noop)
      return call.submittable
    }
    const promise = this.#run(call)
    if (call.callback === undefined) return promise
    callBack(promise, call.callback, null)
    return undefined
  }

  /** Runs a Submittable; settles when the server is ready again. A failure has been reported to it by then. */
  submit(submittable: Submittable, ownTimeoutMs: number | undefined): Promise<void> {
    const session = this.#current()
    if (session !== undefined) {
      const timeoutMs = ownTimeoutMs ?? queryTimeoutOf(this.#options)
      return this.#counted(
        session.submit(submittable, deadlineOf(timeoutMs, this.#ambient), reportedInWordsOfPg(timeoutMs)),
      )
    }
    const error = new ConnectionReleasedError()
    nextTick(() => (submittable as { handleError?(error: Error): void }).handleError?.(error))
    return Promise.reject(error)
  }

  /** As with a `pg.Client` that is connected. */
  connect(callback?: PgCallback): Promise<never> | undefined {
    const failed = Promise.reject(new Error('Client has already been connected. You cannot reuse a client.'))
    if (callback === undefined) return failed
    callBack(failed, callback, null)
    return undefined
  }

  /** Closes the connection under it, and breaks off what runs; inside an open transaction, whose connection that is, it does nothing. */
  end(callback?: PgCallback): Promise<void> | undefined {
    this.ending()
    const closed = (this.#session ?? this.#ended ?? this.#standing).close()
    if (callback === undefined) return closed
    callBack(closed, callback, undefined)
    return undefined
  }

  /** The state of its transaction, as `pg` says it: `'I'`, `'T'` or `'E'`. */
  getTransactionStatus(): string {
    return this.#connection.status
  }

  #run(call: PgStatementCall): Promise<QueryResult> {
    return this.#counted(this.#start(call))
  }

  async #start(call: PgStatementCall): Promise<QueryResult> {
    const timeoutMs = call.timeoutMs ?? queryTimeoutOf(this.#options)
    try {
      const session = this.#current()
      if (session === undefined) throw new ConnectionReleasedError()
      const deadline = deadlineOf(timeoutMs, this.#ambient)
      if (call.native === undefined) return await session.run(call.config, deadline)
      const { submittable, result } = call.native()
      // What the connection says of it is more exact: that its time is over, that it has committed all the same.
      result.catch(noop)
      await session.submit(submittable, deadline)
      return await result
    } catch (error) {
      throw inWordsOfPg(error, timeoutMs)
    }
  }

  /** What runs what is asked now: nothing once it is released. */
  #current(): PgSession | undefined {
    if (this.#session !== undefined || this.#ended !== undefined) return this.#session ?? this.#ended
    return preparing.getStore() === this.#connection ? this.#standing : undefined
  }

  /** Reports 'drain' when all that was asked is answered, and nothing new was asked by whoever got the answer. */
  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#running += 1
    try {
      return await work
    } finally {
      this.#running -= 1
      if (this.#running === 0) {
        nextTick(() => {
          if (this.#running === 0) emitToUsers(this, 'drain')
        })
      }
    }
  }
}

/** The bounds of a call: what is open around it, and the `query_timeout` of its own. */
export function deadlineOf(timeoutMs: number | undefined, ambient: Ambient): Deadline {
  const around = ambient.deadlineFor(undefined)
  return timeoutMs === undefined ? around : ambient.deadlineFor({ timeoutMs }).tighter(around)
}

function throwOnDoubleRelease(): never {
  throw new Error('Release called on client which has already been released to the pool.')
}
