import pg from 'pg'
import type { Clock } from '../base/clock.js'
import { type Limit, type LimitReason, limitReached, unlimited, watchLimit } from '../base/limit.js'
import { classify, endsSession } from '../errors/classify.js'
import { givenUp } from '../errors/given-up.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { markStalePlan } from '../errors/stale-plan.js'
import { Canceller } from './canceller.js'
import { endpointText } from './endpoint.js'
import type { Exchange } from './exchange.js'
import { Flight } from './flight.js'
import { ForeignStatement, type Submittable } from './foreign-statement.js'
import { aborted, closed, leave, sayGoodbye } from './goodbye.js'
import type { Operation, Wire } from './operation.js'
import { Outbox } from './outbox.js'
import type { ClientInternals, WireConnection } from './pg-internals.js'
import type { QueryResult } from './query-result.js'
import { RoleReports } from './server-role.js'
import type { Statement } from './statement.js'
import { StatementCache } from './statement-cache.js'
import type { StatementObserver } from './statement-observer.js'
import { StatementTexts } from './statement-texts.js'
import { type AnswerDesk, type TransactionStatus, takeOver } from './take-over.js'

export type { TransactionStatus }

/**
 * How long a caller whose time is up waits for the word of the server, so that it learns whether its statement was
 * stopped or had already taken effect. On a healthy network the word comes in a round trip or two.
 */
const cancelGraceMs = 40
/** How often a statement is run again that the server has undone for no fault of its own. */
const mostReruns = 3

/** Hears of what happens on a connection that it may be sharing out. */
export interface LaneKeeper {
  /** An operation has ended after so long, or, undefined, was not sent at all; there may be room for others now. */
  moved(operation: Operation | undefined, ranMs: number): void
}

/**
 * A session on the server. Operations are answered in the order in which they are sent. One that shares is sent while
 * others are still under way; any other has the connection to itself: it starts when all before it are answered. It
 * knows when the session ends, and sends nothing new while a cancel is under way, which could hit it.
 */
export class Connection implements AnswerDesk {
  readonly client: pg.Client
  observer: StatementObserver<Connection> | undefined
  /** What the server tells of its role in a cluster. */
  readonly reports: RoleReports
  /** Where it goes: the one of several endpoints that it was opened at, for people. */
  where: string
  readonly #internals: ClientInternals
  readonly #clock: Clock
  readonly #queue: Operation[] = []
  readonly #flight: Flight
  readonly #canceller: Canceller
  #wire: Wire | undefined
  #status: TransactionStatus = 'I'
  #lostWith: Error | undefined
  #closing = false
  #isTorn = false
  readonly #onLost = new Set<(cause: Error) => void>()
  readonly #onQuiet: (() => void)[] = []
  /** Set by whoever shares the connection out. */
  keeper: LaneKeeper | undefined

  private constructor(client: pg.Client, clock: Clock) {
    this.client = client
    this.#internals = client as unknown as ClientInternals
    this.where = endpointText(this.#internals)
    this.#clock = clock
    this.#flight = new Flight(clock)
    this.#canceller = new Canceller(this.#internals, clock, this.#flight, {
      settled: () => this.#next(),
      hopeless: () => this.destroy(),
    })
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
    connection.#internals.connection.once('readyForQuery', ({ status }: { readonly status: TransactionStatus }) => {
      connection.#status = status
      connection.#takeOver()
    })
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
  /** What the server said of its transaction at the last answer. */
  get status(): TransactionStatus {
    return this.#status
  }
  get isAlive(): boolean {
    return this.#lostWith === undefined && !this.#closing
  }
  /** Nothing runs, waits or is being cancelled: what is asked now starts now. */
  get isQuiet(): boolean {
    return this.#flight.isEmpty && this.#queue.length === 0 && !this.#canceller.isBusy
  }
  /** Whether it was this side that tore the socket down. */
  get isTornDown(): boolean {
    return this.#isTorn
  }
  /** What ended the session, once it has ended. */
  get lostWith(): Error | undefined {
    return this.#lostWith
  }
  /** Operations that are under way or wait here. */
  get load(): number {
    return this.#flight.length + this.#queue.length
  }
  /** Bytes of what is under way. */
  get bytesInFlight(): number {
    return this.#flight.bytes
  }
  /** How long the operation that is being answered has been so, in milliseconds. */
  get headRanMs(): number {
    return this.#flight.headRanMs
  }
  /** Whether one more that shares would be sent now. */
  get takesSharing(): boolean {
    return this.isAlive && this.#queue.length === 0 && this.#maySendSharing()
  }
  /** The operation whose answer comes in now. A guest's answers are `pg`'s. @internal */
  get head(): Operation | undefined {
    const { head } = this.#flight
    return head?.isGuest === true ? undefined : head
  }
  /** @internal */
  get wire(): Wire {
    if (this.#wire === undefined) throw new Error('bug: a connection was used before it was open')
    return this.#wire
  }

  /** From now on it prepares what the pool runs often, and has what the pool knows of its texts. */
  remember(texts: StatementTexts): void {
    this.wire.cache.texts = texts
  }

  /** Runs a statement when those before it are done. */
  run(statement: Statement | ForeignStatement | Exchange<unknown>, limit: Limit): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      statement.resolve = resolve
      statement.reject = reject
      this.start(statement, limit)
    })
  }

  /** The same for any operation; its `answer` is called. One that shares does not wait for others that do. */
  start(operation: Operation, limit: Limit): void {
    if (this.observer !== undefined && !operation.isGuest) operation.mark = this.observer.asked(operation, this)
    if (limit !== unlimited) {
      const reached = limitReached(limit, this.#clock)
      if (reached !== undefined) {
        this.#answer(operation, givenUp(reached, 'not-sent'))
        this.keeper?.moved(undefined, 0)
        return
      }
      operation.stopWatching = watchLimit(limit, this.#clock, (reason) => this.#giveUp(operation, reason))
    }
    this.#queue.push(operation)
    this.#next()
    if (operation.isAnswered) this.keeper?.moved(undefined, 0)
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
    for (const operation of this.#flight.all()) this.#giveUp(operation, reason)
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
    this.#wire?.outbox.write()
    return sayGoodbye(this.client, this.#clock, () => this.destroy())
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
    if (!this.#flight.isEmpty) this.#canceller.stopBackend()
    this.#wire?.outbox.discard()
    leave(this.#internals.connection, this.#clock)
    this.#lose(new Error(tornDown))
  }

  /**
   * Settles when the server has closed its side of a session that was ended, and so has no backend for it any more; or
   * when it has not in a second, which is what happens when the network is cut.
   */
  gone(): Promise<void> {
    return closed(this.#internals.connection.stream, this.#clock)
  }

  /** Tears the socket down, and leaves the server to what it is doing. */
  sever(): void {
    this.#closing = true
    this.#isTorn = true
    this.#internals.connection.stream.destroy()
    this.#lose(new Error(tornDown))
  }

  #takeOver(): void {
    const protocol = this.#internals.connection
    const outbox = new Outbox(protocol.stream, () => this.#next())
    const cache = new StatementCache(new StatementTexts(0), protocol)
    const tearDown = (): void => this.destroy()
    this.#wire = { outbox, cache, types: this.#internals._types, protocol, client: this.client, tearDown }
    takeOver(protocol, this)
  }

  #maySendSharing(): boolean {
    if (this.#canceller.isBusy || this.#flight.hasGivenUp) return false
    return this.#flight.isEmpty || (this.#flight.isSharing && this.#wire?.outbox.isFull === false)
  }

  #next(): void {
    for (;;) {
      const operation = this.#queue[0]
      if (operation === undefined) break
      if (this.#lostWith !== undefined) {
        this.#queue.shift()
        this.#answer(operation, new ConnectionLostError(false, { cause: this.#lostWith }))
      } else if (this.#flight.isEmpty ? !this.#canceller.isBusy : operation.isSharing && this.#maySendSharing()) {
        this.#queue.shift()
        this.#send(operation)
      } else return
    }
    if (this.#onQuiet.length > 0 && this.isQuiet) for (const resolve of this.#onQuiet.splice(0)) resolve()
  }

  #send(operation: Operation): void {
    const { wire } = this
    const { outbox, cache } = wire
    // Apart from the operation, which may turn out not to be sendable.
    for (const name of cache.takeClosing()) outbox.closeStatement(name)
    const start = outbox.length
    // As it is before: what is written in parts may be on its way already when all of its beginning is there.
    const { writes } = outbox
    try {
      operation.write(wire)
    } catch (error) {
      if (outbox.writes === writes) {
        outbox.cutTo(start)
        this.#answer(operation, error)
        this.keeper?.moved(undefined, 0)
      } else {
        // Its beginning has left: no end of it could undo that. Without a Sync the server does nothing of it.
        operation.sent = true
        operation.postedAt = -1
        operation.failure ??= error as Error
        this.#flight.add(operation)
        this.destroy()
      }
      return
    }
    if (operation instanceof ForeignStatement) operation.onUnsent = (error) => this.#refused(operation, error)
    operation.sent = true
    operation.postedAt = writes
    operation.bytes = Math.max(0, outbox.length - start)
    this.#flight.add(operation)
    outbox.post()
  }

  /** A guest has not written anything, so that no answer will come. */
  #refused(operation: ForeignStatement, error: unknown): void {
    if (this.#flight.head !== operation) return
    this.#flight.shift()
    operation.sent = false
    this.#answer(operation, error)
    this.#canceller.headChanged()
    this.#next()
  }

  /** An answer is complete. @internal */
  ready(status: TransactionStatus): void {
    this.#status = status
    const operation = this.#flight.head
    if (operation === undefined) return
    const ranMs = this.#flight.shift()
    this.#settle(operation)
    this.#canceller.headChanged()
    this.#next()
    this.keeper?.moved(operation, ranMs)
  }

  #settle(operation: Operation): void {
    const { failure, givenUp: reason } = operation
    if (operation.isAnswered) this.observer?.answeredLate()
    else if (failure === undefined) this.#answer(operation, undefined)
    else if (reason !== undefined) {
      const isUndone = classify(failure) === 'cancelled' || (operation.isStale && this.#status === 'I')
      this.#answer(operation, isUndone ? givenUp(reason, 'cancelled', failure) : failure)
    } else if (this.#isUndoneForNothing(operation, failure)) {
      operation.reset()
      this.#queue.unshift(operation)
    } else {
      if (operation.isStale) markStalePlan(failure)
      this.#answer(operation, failure)
    }
  }

  /** Whether the server has undone it through no fault of its own, so that it is run again: outside of a transaction only. */
  #isUndoneForNothing(operation: Operation, failure: Error): boolean {
    if (operation.isAnswered || operation.reruns >= mostReruns || this.#status !== 'I') return false
    if (!operation.mayRunAgain) return false
    return operation.isStale || (operation.isExposed && classify(failure) === 'cancelled')
  }

  #answer(operation: Operation, error: unknown): void {
    if (operation.isAnswered) return
    operation.isAnswered = true
    operation.stopWatching()
    if (operation.grace !== undefined) this.#clock.clearTimer(operation.grace)
    if (this.observer !== undefined && !operation.isGuest) {
      const durationMs = operation.sent ? this.#clock.now() - operation.sentAt : undefined
      this.observer.answered(operation, this, operation.mark, error, durationMs)
    }
    operation.answer(error)
  }

  #giveUp(operation: Operation, reason: LimitReason): void {
    // Given up already: by the statement's own limit, then by its transaction's. A second cancel could hit what comes next.
    if (operation.isAnswered || operation.givenUp !== undefined) return
    const at = this.#queue.indexOf(operation)
    if (at !== -1) {
      this.#queue.splice(at, 1)
      this.#answer(operation, givenUp(reason, 'not-sent'))
      this.keeper?.moved(undefined, 0)
      return
    }
    operation.givenUp = reason
    operation.interrupt()
    operation.grace = this.#clock.setTimer(cancelGraceMs, () => this.#answer(operation, givenUp(reason, 'unknown')))
    this.#canceller.givenUp(operation)
  }

  #lose(cause: Error): void {
    if (this.#lostWith !== undefined) return
    const head = this.#flight.head
    const failure = head?.failure
    const said = failure !== undefined && endsSession(failure) ? failure : undefined
    this.#lostWith = said ?? cause
    this.#canceller.stop()
    this.#wire?.outbox.discard()
    const writes = this.#wire?.outbox.writes ?? 0
    for (const operation of this.#flight.takeAll()) {
      // The server ended the session in the middle of the one that it was answering: those behind it have not run.
      if ((operation.postedAt === writes && !operation.isGuest) || (said !== undefined && operation !== head))
        operation.sent = false
      const lost = new ConnectionLostError(operation.sent, { cause: operation === head ? cause : this.#lostWith })
      const { givenUp: reason, sent, failure } = operation
      this.#answer(operation, reason !== undefined && !sent ? givenUp(reason, 'not-sent', lost) : (failure ?? lost))
    }
    this.#next()
    this.keeper?.moved(undefined, 0)
    if (this.#closing && !this.#isTorn) return
    for (const listener of [...this.#onLost]) listener(this.#lostWith)
  }
}

const tornDown = 'the connection was torn down by the pool'
