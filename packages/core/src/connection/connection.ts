import type { EventEmitter } from 'node:events'
import pg, { type Notification } from 'pg'
import { type Clock, nextTick } from '../deadline/clock.js'
import type { Deadline, GivenUpReason } from '../deadline/deadline.js'
import { ProtocolViolationError } from '../errors/operation-errors.js'
import { markMisconfigured } from '../errors/origin.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { inNoContext } from '../observe/context.js'
import { addressOf } from './cancel.js'
import { endpointText } from './connect/endpoint.js'
import { watchTlsAnswer } from './connect/tls.js'
import { LoginOrder } from './login-order.js'
import { emitTo, isOfLogin, isUnasked, readMessages } from './message-reader.js'
import { MessageWriter } from './message-writer.js'
import type { Operation, StatementObserver } from './operation.js'
import type { ClientInternals, WireConnection } from './pg-internals.js'
import { type OperationEndListener, Pipeline } from './pipeline.js'
import { installProtocolHandlers, type TransactionStatus } from './protocol-handlers.js'
import type { QueryResult } from './result.js'
import { type ParameterStatus, RoleReports } from './server-role.js'
import { StatementCache, type StatementText, StatementTexts } from './statement-cache.js'
import type { SubmittableAdapter } from './submittable.js'

/** How long an orderly close may take. */
const closeBoundMs = 1_000

/** Ends a session in order. Settles when the server has closed its side; calls `late` and settles when it does not. */
function sendTerminate(client: pg.Client, wire: WireConnection, clock: Clock, late: () => void): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimer(timer)
      resolve()
    }
    const timer = clock.setTimer(closeBoundMs, () => {
      late()
      done()
    })
    // Not the client's own 'end', which comes with a `process.nextTick` that a test may have faked.
    wire.once('end', () => nextTick(done))
    void client.end()
  })
}

/** Sends Terminate for the server to read, and waits for nothing; the socket is closed by force when it does not. */
function terminate(connection: WireConnection, clock: Clock): void {
  const { stream } = connection
  const timer = clock.setTimer(closeBoundMs, () => stream.destroy(), true)
  stream.once('close', () => clock.clearTimer(timer))
  if (stream.destroyed) {
    clock.clearTimer(timer)
    return
  }
  connection.end()
  // What a slow reader has held up is read to its end and dropped: the end of the session comes after it.
  stream.resume()
}

/** Settles when the socket is closed, or after a bound. */
function closed(stream: WireConnection['stream'], clock: Clock): Promise<void> {
  if (stream.closed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clock.clearTimer(timer)
      stream.off('close', done)
      resolve()
    }
    // Somebody waits for this, the end of a pool perhaps: the process lives until it is known.
    const timer = clock.setTimer(closeBoundMs, done)
    stream.once('close', done)
  })
}

/** Rejects when the signal aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}

/**
 * In which form the server writes text, dates and intervals: it says so at connect and whenever that changes. A database or a
 * role may have another form than the one that this side reads.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC
 */
class ValueStyles {
  /** Whether values come in the form that is read; a server that says nothing is taken at the default. */
  areRead = true
  /** Whether all text is sent and read in the encoding that this side has. */
  isUtf8 = true
  #dates = true
  #intervals = true

  /** Listens to the protocol connection of a client. */
  constructor(wire: EventEmitter) {
    wire.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === 'DateStyle') this.#dates = parameterValue.startsWith('ISO')
      else if (parameterName === 'IntervalStyle') this.#intervals = parameterValue === 'postgres'
      else if (parameterName === 'client_encoding') this.isUtf8 = /^(?:utf8|utf-8|unicode)$/i.test(parameterValue)
      else return
      this.areRead = this.#dates && this.#intervals
    })
  }
}

export type { TransactionStatus }

/** A session on the server: how it begins, what is asked of it, how it ends, and who hears of that. */
export class Connection {
  readonly client: pg.Client
  /** What the server reports of its role in a cluster. */
  readonly reports: RoleReports
  /** In which form it says that it writes values. */
  readonly styles: ValueStyles
  /** Where it goes: the one of several endpoints that it was opened at, for people. */
  address: string
  readonly #internals: ClientInternals
  readonly #clock: Clock
  readonly #pipeline: Pipeline<Connection>
  /** Its server has refused a write as it is read-only: it is not used again, where another may be had. */
  refusesWrites = false
  #closing = false
  #isTorn = false
  /** Settings that the server reported while the session was opened. */
  readonly #reported = new Map<string, string>()
  #cache: StatementCache | undefined
  readonly #onLost = new Set<LostListener>()

  private constructor(client: pg.Client, clock: Clock) {
    this.client = client
    this.#internals = client as unknown as ClientInternals
    this.address = endpointText(this.#internals)
    this.#clock = clock
    this.#pipeline = new Pipeline<Connection>(this, this.#internals, clock, () => this.terminate())
    this.reports = new RoleReports(this.#internals.connection)
    this.#internals.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (this.#cache === undefined) this.#reported.set(parameterName, parameterValue)
      else this.#cache.reported(parameterName, parameterValue)
    })
    this.styles = new ValueStyles(this.#internals.connection)
  }

  /**
   * Connects and authenticates. `pg` closes what it opened when that fails. `signal` gives the attempt up;
   * `isBindingRequired` as `channelBinding: 'require'` says.
   */
  static open(
    config: pg.ClientConfig,
    clock: Clock,
    signal?: AbortSignal,
    isBindingRequired = false,
  ): Promise<Connection> {
    // It is for many callers: what its socket calls must not run in the context of the one who made it necessary.
    return inNoContext(() => Connection.#open(config, clock, signal, isBindingRequired))
  }

  static async #open(
    config: pg.ClientConfig,
    clock: Clock,
    signal: AbortSignal | undefined,
    isBindingRequired: boolean,
  ): Promise<Connection> {
    const client = new pg.Client(config)
    const connection = new Connection(client, clock)
    // Attached before anything can happen: an 'error' nobody listens to ends the process.
    client.on('error', (error: Error) => connection.#lose(error))
    // Not the client's own 'end', which comes with a `process.nextTick` that a test may have faked.
    connection.#internals.connection.on('end', () =>
      nextTick(() => connection.#lose(new Error('the server closed the connection'))),
    )
    connection.#listen(new LoginOrder(connection.#internals, isBindingRequired))
    const { ssl, sslNegotiation, connection: protocol } = connection.#internals
    const answer = ssl === false ? undefined : watchTlsAnswer(protocol, sslNegotiation === 'direct')
    const connecting = client.connect()
    // Behind `pg`'s own listener, which connect() has attached: a statement started here finds its client ready.
    connection.#internals.connection.once('readyForQuery', ({ status }: { readonly status: TransactionStatus }) => {
      connection.#takeOver(status)
    })
    try {
      await (signal === undefined ? connecting : Promise.race([connecting, aborted(signal)]))
      return connection
    } catch (error) {
      protocol.stream.destroy()
      if (answer?.isServerError === true) throw new ConnectionLostError(false, { cause: error })
      if (answer?.isUnusable === true) markMisconfigured(error)
      throw error
    }
  }

  /** Set by whoever wants to know of each statement. */
  set observer(observer: StatementObserver<Connection> | undefined) {
    this.#pipeline.observer = observer
  }
  /** Set by whoever shares the connection out. */
  get endListener(): OperationEndListener | undefined {
    return this.#pipeline.endListener
  }
  set endListener(keeper: OperationEndListener | undefined) {
    this.#pipeline.endListener = keeper
  }
  /** Set by whoever opened it: whose errors are those that it makes; see `errors/origin.ts`. */
  set belongsTo(owner: object | undefined) {
    this.#pipeline.belongsTo = owner
    this.#pipeline.server = this.address
  }
  get belongsTo(): object | undefined {
    return this.#pipeline.belongsTo
  }
  /** Set by whoever opened it: whether an SQL text only reads; without it none is known to. */
  set onlyReads(onlyReads: (text: string) => boolean) {
    this.#pipeline.onlyReads = onlyReads
  }
  /** Process id of the backend. */
  get pid(): number {
    return this.#internals.processID ?? 0
  }
  /**
   * The words of the server that end transactions, COMMIT, ROLLBACK and PREPARE TRANSACTION, since this was set to an
   * array; undefined: nobody wants to know.
   */
  get transactionEnds(): string[] | undefined {
    return this.#pipeline.endings
  }
  set transactionEnds(ends: string[] | undefined) {
    this.#pipeline.endings = ends
  }
  /** What the server said of its transaction at the last answer. */
  get status(): TransactionStatus {
    return this.#pipeline.status
  }
  get isAlive(): boolean {
    return this.#pipeline.lostWith === undefined && !this.#closing
  }
  /** Nothing runs, waits or is being cancelled: what is asked now starts now. */
  get isQuiet(): boolean {
    return this.#pipeline.isQuiet
  }
  /** Whether it was this side that tore the socket down. */
  get isTornDown(): boolean {
    return this.#isTorn
  }
  /** What ended the session, once it has ended. */
  get lostWith(): Error | undefined {
    return this.#pipeline.lostWith
  }
  /** Operations that are under way or wait here. */
  get load(): number {
    return this.#pipeline.load
  }
  /** Bytes of what is under way. */
  get bytesInFlight(): number {
    return this.#pipeline.bytesInFlight
  }
  /** The text of the statement that is being answered; undefined when nothing runs. */
  get runningText(): string | undefined {
    return this.#pipeline.runningText
  }
  /** When the last answer was complete, that to the login included, on the connection's clock. */
  get answeredAt(): number {
    return this.#pipeline.answeredAt
  }
  /** How long the operation that is being answered has been so, in milliseconds. */
  get headRanMs(): number {
    return this.#pipeline.headRanMs
  }
  /** Whether one more that shares would be sent now. */
  get takesSharing(): boolean {
    return this.isAlive && this.#pipeline.takesSharing
  }

  /** From now on it prepares what the pool runs often, and has what the pool knows of its texts. */
  remember(texts: StatementTexts): void {
    this.#pipeline.wire.cache.texts = texts
  }

  /** What is known here of an SQL text that is about to be run; counts as a use of it. */
  known(text: string): StatementText {
    return this.#pipeline.wire.cache.texts.of(text)
  }

  /** Runs an operation when those before it are done. */
  run(operation: Operation, deadline: Deadline): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      operation.resolve = resolve
      operation.reject = reject
      this.#pipeline.start(operation, deadline)
    })
  }

  /** The same for one that knows its caller already. One that shares does not wait for others that do. */
  start(operation: Operation, deadline: Deadline): void {
    this.#pipeline.start(operation, deadline)
  }

  /** Runs a submittable alone, and settles when the server is ready again. A failure is reported to it, too. */
  async submit(adapter: SubmittableAdapter, deadline: Deadline): Promise<void> {
    try {
      await this.run(adapter, deadline)
    } catch (error) {
      adapter.failed(error, this.lostWith !== undefined)
      throw error
    }
  }

  /** Its user has released the connection, and asks for no more of this submittable: it ends, unless it ends by itself. */
  closeSubmittable(adapter: SubmittableAdapter, error: Error): void {
    this.#pipeline.closeSubmittable(adapter, error)
  }

  /** Stops what runs, and forgets what waits, as if each caller had given up with this reason. */
  abandon(reason: GivenUpReason): void {
    this.#pipeline.abandon(reason)
  }

  /** Settles when nothing runs any more; at once when that is so. The connection may have been lost by then. */
  whenQuiet(): Promise<void> {
    return this.#pipeline.whenQuiet()
  }

  /** Calls back when the session ends for whatever reason but an orderly close; returns the way to stop listening. */
  onLost(listener: LostListener): () => void {
    this.#onLost.add(listener)
    return () => this.#onLost.delete(listener)
  }

  /** Sends Terminate and settles when the server has closed its side, or after a bound. Never rejects. */
  close(): Promise<void> {
    this.#closing = true
    if (this.lostWith !== undefined) return Promise.resolve()
    this.#pipeline.flush()
    return sendTerminate(this.client, this.#internals.connection, this.#clock, () => this.terminate())
  }

  /**
   * Ends the session at once. A statement that runs rejects with ConnectionLostError, and is stopped on the server. The
   * Terminate is left for the server to read; the socket is closed by force when that takes too long.
   */
  terminate(): void {
    if (this.#isTorn) return
    this.#closing = true
    this.#isTorn = true
    // The server would notice a dead socket only when it has something to write to it.
    this.#pipeline.stopBackend()
    this.#pipeline.writer?.discard()
    terminate(this.#internals.connection, this.#clock)
    this.#lose(new Error(tornDown))
  }

  /**
   * Settles when the server has closed its side of a session that was ended, and so has no backend for it any more; or
   * when it has not in a second, which is what happens when the network is cut.
   */
  whenClosed(): Promise<void> {
    return closed(this.#internals.connection.stream, this.#clock)
  }

  /** Tears the socket down, and leaves the server to what it is doing. */
  destroy(): void {
    this.#closing = true
    this.#isTorn = true
    this.#internals.connection.stream.destroy()
    this.#lose(new Error(tornDown))
  }

  #listen(login: LoginOrder): void {
    const protocol = this.#internals.connection
    const pipeline = this.#pipeline
    readMessages(
      protocol,
      (message, reader) => {
        if (login.isOver) {
          // What is asked next must never get what came for nobody.
          if (pipeline.isSilent ? !isUnasked(message) : isOfLogin(message)) {
            throw new ProtocolViolationError(`${message.name} where nothing asked for it`)
          }
          emitTo(protocol, message)
        } else {
          login.before(message)
          reader.isOpening = !login.isOver
          emitTo(protocol, message)
          login.after(message)
        }
      },
      (bytes, at, stop) => pipeline.head?.readRow(bytes, at, stop) === true,
      (error) => {
        protocol.stream.destroy()
        // `pg` rejects the connect with it, or reports the loss of the session.
        protocol.emit('error', error)
      },
    )
  }

  #takeOver(status: TransactionStatus): void {
    const protocol = this.#internals.connection
    const pipeline = this.#pipeline
    const writer = new MessageWriter(protocol.stream, () => pipeline.next())
    const cache = new StatementCache(new StatementTexts(0), protocol, this.#clock)
    for (const [name, value] of this.#reported) cache.reported(name, value)
    this.#reported.clear()
    this.#cache = cache
    const tearDown = (): void => this.terminate()
    // Known from here on, also once the socket is gone: a cancel goes there.
    addressOf(this.#internals)
    const now = (): number => this.#clock.now()
    const { client } = this
    pipeline.open({ writer, cache, types: this.#internals._types, protocol, client, now, tearDown }, status)
    installProtocolHandlers(protocol, pipeline)
  }

  /** In no context: whoever tears it down, or was the last to write to it, is not the one whose statement or lock it was. */
  #lose(cause: Error): void {
    if (this.lostWith !== undefined) return
    inNoContext(() => {
      this.#pipeline.lose(cause)
      const isTorn = this.#isTorn
      if (this.#closing && !isTorn) return
      // What one of them does then is not why it was lost.
      for (const listener of [...this.#onLost]) listener(this.lostWith ?? cause, isTorn)
    })
  }
}

/** Hears of the end of a session: what ended it, and whether that was this side, which tore the socket down. */
export type LostListener = (cause: Error, isTornDown: boolean) => void

const tornDown = 'the connection was torn down by the pool'

/** What somebody has sent with NOTIFY. */
export interface NotificationMessage {
  readonly channel: string
  readonly payload: string
  /** Process id of the backend that sent it. */
  readonly pid: number
}

/** Calls back for every notification that comes in on a connection; returns the way to stop listening. */
export function onNotification(connection: Connection, listener: (message: NotificationMessage) => void): () => void {
  const report = ({ channel, payload = '', processId }: Notification): void =>
    listener({ channel, payload, pid: processId })
  connection.client.on('notification', report)
  return () => void connection.client.off('notification', report)
}
