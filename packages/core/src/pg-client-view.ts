import { type Limit, tighter } from './base/limit.js'
import { inNoContext } from './base/no-context.js'
import { emitToUsers } from './base/user-callback.js'
import { ConnectionReleasedError } from './errors/pool-errors.js'
import type { Ambient } from './session/ambient.js'
import type { PgSession } from './session/pg-session.js'
import { withCallersStack } from './session/queryable.js'
import type { Submittable } from './wire/foreign-statement.js'
import { callBack, type PgCallback, type PgQueryCall, pgQueryCall } from './wire/pg-query-call.js'
import { PgClientBase, sameClient, takeIdentity } from './wire/pg-shapes.js'
import type { QueryResult } from './wire/query-result.js'

/** How a client is given back: `true` or an error closes its connection. */
export type Release = (error?: Error | boolean) => void

/**
 * A `pg.Client` in look, over a connection of the pool: for one user, from `connect` to `release`. Its statements stand
 * in the connection's own line, so that cancelling, clean-up and the state of the transaction stay known.
 */
export class PgClientView extends PgClientBase {
  readonly #session: PgSession
  readonly #ambient: Ambient
  #isReleased = false
  /** Gives it back. A second call throws, as with `pg`. */
  readonly release: Release

  constructor(session: PgSession, ambient: Ambient, whenReleased?: (error: Error | boolean | undefined) => void) {
    const { connection } = session
    const { client } = connection
    super(sameClient(client))
    takeIdentity(this, client)
    this.#session = session
    this.#ambient = ambient
    // A lost connection is for those who listen; without anybody 'error' would end the process.
    this.on('error', nothing)
    const forward = ['notification', 'notice', 'drain', 'end'].map((name) => {
      // In no context: it is about the session, and called while messages of the server are read.
      const listener = (message: unknown): boolean => inNoContext(() => emitToUsers(this, name, message))
      client.on(name as 'notice', listener)
      return () => client.off(name, listener)
    })
    const stop = connection.onLost((cause) => void emitToUsers(this, 'error', cause))
    let isOver = false
    const finish = (error?: Error | boolean): void => {
      if (isOver) return
      isOver = true
      stop()
      for (const off of forward) off()
      whenReleased?.(error)
    }
    session.onEnded = finish
    this.release = (error) => {
      if (this.#isReleased) {
        throw new Error('Release called on client which has already been released to the pool.')
      }
      this.#isReleased = true
      session.end(error !== undefined && error !== null && error !== false)
      finish(error)
    }
  }

  /** In the forms of `pg`: a promise, or a callback, or a Submittable that comes back as it is. */
  query(query: unknown, values?: unknown, callback?: unknown): unknown {
    const call = pgQueryCall(query, values, callback)
    if (call.kind === 'submittable') {
      this.submit(call.submittable).catch(nothing)
      return call.submittable
    }
    const promise = this.#run(call)
    if (call.callback === undefined) return promise
    callBack(promise, call.callback)
    return undefined
  }

  /** Runs a Submittable; settles when the server is ready again. It has been told of a failure by then. */
  submit(submittable: Submittable): Promise<void> {
    if (!this.#isReleased) return this.#session.submit(submittable, this.#ambient.limitFor(undefined))
    const error = new ConnectionReleasedError()
    process.nextTick(() => (submittable as { handleError?(error: Error): void }).handleError?.(error))
    return Promise.reject(error)
  }

  /** As with a `pg.Client` that is connected. */
  connect(callback?: PgCallback): Promise<never> | undefined {
    const failed = Promise.reject(new Error('Client has already been connected. You cannot reuse a client.'))
    if (callback === undefined) return failed
    callBack(failed, callback)
    return undefined
  }

  /** Closes the connection under it; inside an open transaction, whose connection that is, it does nothing. */
  end(callback?: PgCallback): Promise<void> | undefined {
    const closed = this.#session.close()
    if (callback === undefined) return closed
    callBack(closed, callback)
    return undefined
  }

  /** The state of its transaction, as `pg` says it: `'I'`, `'T'` or `'E'`. */
  getTransactionStatus(): string {
    return this.#session.connection.status
  }

  async #run(call: Extract<PgQueryCall, { readonly kind: 'statement' }>): Promise<QueryResult> {
    try {
      if (this.#isReleased) throw new ConnectionReleasedError()
      const limit = limitOf(call.timeoutMs, this.#ambient)
      if (call.native === undefined) return await this.#session.run(call.config, limit)
      const { submittable, result } = call.native()
      // What the connection says of it is more exact: that its time is over, that it has committed all the same.
      result.catch(nothing)
      await this.#session.submit(submittable, limit)
      return await result
    } catch (error) {
      throw withCallersStack(error)
    }
  }
}

/** The bounds of a call: what is open around it, and the `query_timeout` of its own. */
export function limitOf(timeoutMs: number | undefined, ambient: Ambient): Limit {
  const around = ambient.limitFor(undefined)
  return timeoutMs === undefined ? around : tighter(ambient.limitFor({ timeoutMs }), around)
}

const nothing = (): void => undefined
