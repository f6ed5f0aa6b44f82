import pg from 'pg'
import type { Clock, Timer } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from '../base/limit.js'
import { classify, endsSession } from '../errors/classify.js'
import { givenUp } from '../errors/given-up.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { cancelBackend } from './cancel.js'
import type { Endpoint } from './endpoint.js'
import { ForeignStatement, type Submittable } from './foreign-statement.js'
import type { ClientInternals, WireConnection } from './pg-internals.js'
import { RoleReports } from './server-role.js'
import { type QueryResult, Statement } from './statement.js'
import type { StatementObserver } from './statement-observer.js'

/** The transaction status that the server reports with every answer: idle, in a transaction, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

/**
 * How long a caller whose time is up waits for the word of the server, so that it learns whether its statement was
 * stopped or had already taken effect. On a healthy network the word comes in a round trip or two.
 */
const cancelGraceMs = 40
/** How long after a cancel request another one is sent, the first time; twice as long the next. */
const cancelAgainMs = 50
/** A connection whose cancelled statement does not end in this time is given up. */
const cancelBoundMs = 5_000
/** How long a goodbye may take. */
const closeBoundMs = 1_000

/** One statement with its caller. */
interface Operation {
  readonly statement: Statement | ForeignStatement
  readonly resolve: (result: QueryResult) => void
  readonly reject: (error: unknown) => void
  stopWatching: () => void
  /** Why its caller gave up, once it has. */
  givenUp: LimitReason | undefined
  /** Runs from then on, until the caller is told that the outcome is unknown. */
  grace: Timer | undefined
  answered: boolean
  readonly mark: number // what the observer wants to know again with the answer
  sentAt: number
}

/**
 * A session on the server: one statement at a time, first come, first served. It knows when the session ends, and
 * never lets a statement start before the one before it has been answered and a cancel under way has settled.
 */
export class Connection {
  readonly client: pg.Client
  observer: StatementObserver<Connection> | undefined
  /** What the server tells of its role in a cluster. */
  readonly reports: RoleReports
  readonly #internals: ClientInternals
  readonly #clock: Clock
  readonly #queue: Operation[] = []
  #current: Operation | undefined
  #status: TransactionStatus = 'I'
  #cancelling = false
  #cancelBound: Timer | undefined
  #lostWith: Error | undefined
  #closing = false
  #isTorn = false
  readonly #onLost = new Set<(cause: Error) => void>()
  readonly #onQuiet: (() => void)[] = []

  private constructor(client: pg.Client, clock: Clock) {
    this.client = client
    this.#internals = client as unknown as ClientInternals
    this.#clock = clock
    this.reports = new RoleReports(this.#internals.connection)
  }

  /**
   * Connects and authenticates. `pg` closes what it opened when that fails. `signal` gives the attempt up; `prepare` sees
   * the wire while it is silent.
   */
  static async open(
    config: pg.ClientConfig,
    clock: Clock,
    signal?: AbortSignal,
    prepare?: (wire: WireConnection) => void,
  ): Promise<Connection> {
    const client = new pg.Client(config)
    const connection = new Connection(client, clock)
    // Attached before anything can happen: an 'error' nobody listens to ends the process.
    client.on('error', (error: Error) => connection.#lose(error))
    client.on('end', () => connection.#lose(new Error('the server closed the connection')))
    const connecting = client.connect()
    prepare?.(connection.#internals.connection)
    // Behind `pg`'s own listener, which connect() has attached: a statement started here finds its client ready.
    connection.#internals.connection.on('readyForQuery', ({ status }: { readonly status: TransactionStatus }) =>
      connection.#ready(status),
    )
    try {
      await (signal === undefined ? connecting : Promise.race([connecting, aborted(signal)]))
      return connection
    } catch (error) {
      connection.#internals.connection.stream.destroy()
      throw error
    }
  }

  /** Process id of the backend. */
  get pid(): number {
    return this.#internals.processID ?? 0
  }
  /** Where it goes: the one of several endpoints that it was opened at. */
  get endpoint(): Endpoint {
    return { host: this.#internals.host, port: this.#internals.port }
  }
  /** What the server said of its transaction at the last answer. */
  get status(): TransactionStatus {
    return this.#status
  }
  get isAlive(): boolean {
    return this.#lostWith === undefined && !this.#closing
  }
  /** Nothing runs, waits or is being cancelled: what is asked now starts now. */
  get isQuiet(): boolean {
    return this.#current === undefined && this.#queue.length === 0 && !this.#cancelling
  }
  /** Whether it was this side that tore the socket down. */
  get isTornDown(): boolean {
    return this.#isTorn
  }
  /** What ended the session, once it has ended. */
  get lostWith(): Error | undefined {
    return this.#lostWith
  }

  /** Runs a statement when those before it are done. */
  run(statement: Statement | ForeignStatement, limit: Limit): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const operation: Operation = {
        statement,
        resolve,
        reject,
        stopWatching: nothing,
        givenUp: undefined,
        grace: undefined,
        answered: false,
        mark: (statement instanceof Statement ? this.observer?.asked(statement, this) : undefined) ?? 0,
        sentAt: 0,
      }
      const reached = limitReached(limit, this.#clock)
      if (reached !== undefined) this.#answer(operation, givenUp(reached, 'not-sent'))
      else {
        operation.stopWatching = watchLimit(limit, this.#clock, (reason) => this.#giveUp(operation, reason))
        this.#queue.push(operation)
        this.#next()
      }
    })
  }

  /** Runs somebody's Submittable alone, and settles when the server is ready again. It is told of its failure, too. */
  async submit(submittable: Submittable, limit: Limit): Promise<void> {
    const foreign = new ForeignStatement(submittable)
    try {
      await this.run(foreign, limit)
    } catch (error) {
      foreign.failed(error, this.#lostWith !== undefined)
      throw error
    }
  }

  /** Stops what runs, and forgets what waits, as if each caller had given up with this reason. */
  abandon(reason: LimitReason): void {
    for (const operation of this.#queue.slice()) this.#giveUp(operation, reason)
    if (this.#current !== undefined && this.#current.givenUp === undefined) this.#giveUp(this.#current, reason)
  }

  /** Settles when nothing runs any more; at once when that is so. The connection may have been lost by then. */
  whenQuiet(): Promise<void> {
    if (this.isQuiet) return Promise.resolve()
    return new Promise((resolve) => this.#onQuiet.push(resolve))
  }

  /** Calls back when the session ends for whatever reason but an orderly close; returns the way to stop listening. */
  onLost(listener: (cause: Error) => void): () => void {
    this.#onLost.add(listener)
    return () => this.#onLost.delete(listener)
  }

  /** Says goodbye and settles when the server has closed its side, or after a bound. Never rejects. */
  close(): Promise<void> {
    this.#closing = true
    if (this.#lostWith !== undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#clock.clearTimer(timer)
        resolve()
      }
      const timer = this.#clock.setTimer(closeBoundMs, () => {
        this.sever()
        done()
      })
      this.client.once('end', done)
      void this.client.end()
    })
  }

  /**
   * Ends the session at once. A statement that runs rejects with ConnectionLostError, and is stopped on the server. The
   * goodbye is left to the server to read; the socket is closed by force when that takes too long.
   */
  destroy(): void {
    if (this.#isTorn) return
    this.#closing = true
    this.#isTorn = true
    // The server would notice a dead socket only when it has something to write to it.
    if (this.#current !== undefined && !this.#cancelling) {
      void cancelBackend(this.#internals, this.#clock, cancelBoundMs)
    }
    const { connection } = this.#internals
    const { stream } = connection
    const timer = this.#clock.setTimer(closeBoundMs, () => stream.destroy(), true)
    stream.once('close', () => this.#clock.clearTimer(timer))
    if (stream.destroyed) this.#clock.clearTimer(timer)
    else connection.end()
    this.#lose(new Error('the connection was torn down by the pool'))
  }

  /**
   * Settles when the server has closed its side of a session that was ended, and so has no backend for it any more; or
   * when it has not in a second, which is what happens when the network is cut.
   */
  gone(): Promise<void> {
    const { stream } = this.#internals.connection
    if (stream.closed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#clock.clearTimer(timer)
        stream.off('close', done)
        resolve()
      }
      const timer = this.#clock.setTimer(closeBoundMs, done, true)
      stream.once('close', done)
    })
  }

  /** Tears the socket down, and leaves the server to what it is doing. */
  sever(): void {
    this.#closing = true
    this.#isTorn = true
    this.#internals.connection.stream.destroy()
    this.#lose(new Error('the connection was torn down by the pool'))
  }

  #next(): void {
    if (this.#current !== undefined || this.#cancelling) return
    if (this.#cancelBound !== undefined) {
      this.#clock.clearTimer(this.#cancelBound)
      this.#cancelBound = undefined
    }
    const operation = this.#queue.shift()
    if (operation === undefined) {
      if (this.#onQuiet.length > 0) for (const resolve of this.#onQuiet.splice(0)) resolve()
      return
    }
    if (this.#lostWith !== undefined) {
      this.#answer(operation, new ConnectionLostError(false, { cause: this.#lostWith }))
      this.#next()
      return
    }
    this.#current = operation
    if (this.observer !== undefined) operation.sentAt = this.#clock.now()
    operation.statement.onUnsent = (error) => {
      if (this.#current !== operation) return
      this.#current = undefined
      this.#answer(operation, error)
      this.#next()
    }
    this.client.query(operation.statement as unknown as pg.Submittable)
  }

  #ready(status: TransactionStatus): void {
    this.#status = status
    const operation = this.#current
    if (operation === undefined) return
    this.#current = undefined
    this.#settle(operation)
    this.#next()
  }

  #settle(operation: Operation): void {
    const { statement, givenUp: reason } = operation
    const { failure } = statement
    if (operation.answered) this.observer?.answeredLate()
    else if (failure === undefined) this.#answer(operation, undefined)
    else if (reason !== undefined && classify(failure) === 'cancelled') {
      this.#answer(operation, givenUp(reason, 'cancelled', failure))
    } else this.#answer(operation, failure)
  }

  #answer(operation: Operation, error: unknown): void {
    if (operation.answered) return
    operation.answered = true
    operation.stopWatching()
    if (operation.grace !== undefined) this.#clock.clearTimer(operation.grace)
    const { statement, mark, sentAt } = operation
    if (this.observer !== undefined && statement instanceof Statement) {
      this.observer.answered(statement, this, mark, error, statement.sent ? this.#clock.now() - sentAt : undefined)
    }
    if (error === undefined) operation.resolve(operation.statement.result)
    else operation.reject(error)
  }

  #giveUp(operation: Operation, reason: LimitReason): void {
    const at = this.#queue.indexOf(operation)
    if (at !== -1) {
      this.#queue.splice(at, 1)
      this.#answer(operation, givenUp(reason, 'not-sent'))
      return
    }
    // Given up already: by the statement's own limit, then by its transaction's. A second cancel could hit what comes next.
    if (operation.answered || operation.givenUp !== undefined || this.#current !== operation) return
    operation.givenUp = reason
    if (!(operation.statement instanceof ForeignStatement)) operation.statement.interrupt(this.#internals.connection)
    operation.grace = this.#clock.setTimer(cancelGraceMs, () => this.#answer(operation, givenUp(reason, 'unknown')))
    this.#cancelBound = this.#clock.setTimer(cancelBoundMs, () => this.destroy(), true)
    this.#cancel(operation, cancelAgainMs)
  }

  /**
   * Sends a cancel request, and another one when the statement goes on: a request that overtakes its statement on the
   * way to the server finds the backend idle, and is lost.
   */
  #cancel(operation: Operation, againMs: number): void {
    this.#cancelling = true
    void cancelBackend(this.#internals, this.#clock, cancelBoundMs).then(() => {
      this.#cancelling = false
      if (this.#current !== operation) {
        this.#next()
        return
      }
      this.#clock.setTimer(
        againMs,
        () => {
          if (this.#current === operation) this.#cancel(operation, againMs * 2)
        },
        true,
      )
    })
  }

  #lose(cause: Error): void {
    if (this.#lostWith !== undefined) return
    const operation = this.#current
    const failure = operation?.statement.failure
    const why = failure !== undefined && endsSession(failure) ? failure : cause
    this.#lostWith = why
    this.#current = undefined
    if (operation !== undefined) {
      this.#answer(operation, failure ?? new ConnectionLostError(operation.statement.sent, { cause }))
    }
    this.#next()
    if (this.#closing && !this.#isTorn) return
    for (const listener of [...this.#onLost]) listener(why)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

const nothing = (): void => undefined
