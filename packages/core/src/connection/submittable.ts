import type { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import pg from 'pg'
import { nextTick } from '../deadline/clock.js'
import { givenUp } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { LifeguardError } from '../errors/lifeguard-error.js'
import { warnOfListener } from '../observe/user-callback.js'
import { sqlText } from '../sql/sql-text.js'
import { Operation, type Wire } from './operation.js'
import type { ClientInternals, CommandCompleteMessage, WireConnection } from './pg-internals.js'
import type { ReportedOutcome } from './reported.js'
import type { QueryResult } from './result.js'
import { type StatementConfig, tagOf } from './statement.js'

/** What a guest writes with. */
const writing: ReadonlySet<PropertyKey> = new Set([
  'query',
  'parse',
  'bind',
  'describe',
  'execute',
  'flush',
  'sync',
  'close',
  'sendCopyFromChunk',
  'sendCopyFail',
  'endCopyFrom',
])
/** Each of these is answered by ReadyForQuery. */
const ending: ReadonlySet<PropertyKey> = new Set(['query', 'sync'])

/**
 * The connection as a guest gets it: `pg`'s own, until the exchange is over. What a guest writes after that goes nowhere, as
 * somebody else has the connection by then.
 */
class SubmittableConnection {
  /** What the guest is given. */
  readonly face: WireConnection
  /** The first text that it has sent. */
  sentText: string | undefined
  readonly #connection: WireConnection
  readonly #now: () => number
  #busySince = 0
  #ranMs: number | undefined
  #isClosed = false
  #isReady = false
  #hasEnd = false
  #isBusy = false

  /** @param now reads the clock of the connection */
  constructor(connection: WireConnection, now: () => number) {
    this.#connection = connection
    this.#now = now
    const bound = new Map<PropertyKey, unknown>()
    this.face = new Proxy(connection, {
      get: (target, key) => {
        // COPY streams read and write it themselves.
        if (key === 'stream' && this.#isClosed) return nowhere
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        const known = bound.get(key) ?? this.#methodFor(key, value as Method)
        bound.set(key, known)
        return known
      },
    })
    // Ahead of those who start what comes next.
    connection.prependOnceListener('readyForQuery', this.#whenReady)
  }

  /** Whether the server waits for more of the guest: it has sent nothing that is answered by ReadyForQuery. */
  get isOpen(): boolean {
    return !this.#hasEnd && !this.#isReady
  }
  /** Whether its exchange is over. */
  get isReady(): boolean {
    return this.#isReady
  }
  /** Whether the guest has taken the reading of the socket from its connection, so that nothing comes when it does not read. */
  get hasSocket(): boolean {
    return this.#connection.stream.listenerCount('data') === 0
  }
  /** Whether the server was asked for rows that have not all come. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** How long the server was asked for rows, in milliseconds; undefined where it was asked in another way. */
  get ranMs(): number | undefined {
    return this.#isBusy ? (this.#ranMs ?? 0) + this.#now() - this.#busySince : this.#ranMs
  }

  /** The rows have come, or will not. */
  answered(): void {
    this.#ranMs = this.ranMs
    this.#isBusy = false
  }

  /** Ends the exchange, unless the guest has done so. */
  end(): void {
    if (this.isOpen && this.#connection.stream.writable) this.face.sync()
  }

  /** Makes the server undo a COPY that waits for data; in any other state it ignores that. */
  failCopy(why: string): void {
    if (this.#connection.stream.writable) this.face.sendCopyFail(why)
  }

  /** Takes the socket from the guest. What is in the middle of a message is lost with that, so the session has to end. */
  takeSocket(): void {
    this.#connection.stream.removeAllListeners('readable')
  }

  /** Nothing of the guest is written any more. */
  close(): void {
    this.#isClosed = true
  }

  /** Nothing was sent, and no answer will come. */
  unused(): void {
    this.#connection.off('readyForQuery', this.#whenReady)
    this.#whenReady()
  }

  readonly #whenReady = (): void => {
    this.#isReady = true
    this.#isClosed = true
  }

  #methodFor(key: PropertyKey, method: Method): Method {
    const connection = this.#connection
    if (writing.has(key)) {
      return (...args) => {
        if (this.#isClosed) return undefined
        if (ending.has(key)) this.#hasEnd = true
        if (key === 'execute') {
          if (!this.#isBusy) this.#busySince = this.#now()
          this.#isBusy = true
        }
        if (key === 'parse' || key === 'query') this.sentText ??= textSent(args[0])
        return method.apply(connection, args)
      }
    }
    if (key === 'once') {
      return (event, listener) => {
        // Cursors wait for it when they are closed: it has come, and the next one is somebody else's.
        if (event === 'readyForQuery' && this.#isReady) nextTick(listener as () => void)
        else method.call(connection, event, listener)
        return this.face
      }
    }
    return method.bind(connection)
  }
}

/** Of a Parse or of a simple query. */
function textSent(argument: unknown): string | undefined {
  const text = typeof argument === 'object' && argument !== null ? (argument as { text?: unknown }).text : argument
  return typeof text === 'string' ? text : undefined
}

/** The socket of a guest whose exchange is over: nothing comes, and nothing leaves. */
const nowhere = new Duplex({
  read: () => undefined,
  write: (_chunk, _encoding, done) => done(),
})

type Method = (...args: unknown[]) => unknown

/**
 * Something of somebody else's that speaks the protocol by itself, as `pg` lets it: a cursor of pg-cursor, a stream of
 * pg-query-stream or pg-copy-streams, a `pg.Query`. It hears of every answer until the server is ready again.
 */
export interface Submittable {
  submit(connection: never): unknown
  callback?: unknown
  readonly name?: string | undefined
  readonly text?: string | undefined
  /** As that of a statement. */
  readonly query_timeout?: unknown
  /** Of a stream that takes the data of a COPY: whether all of it was written. */
  readonly writableEnded?: unknown
  /** Of a stream of pg-query-stream. */
  readonly cursor?: { readonly text?: string | undefined } | undefined
  readonly _result?: { _types?: unknown } | undefined
  /** Of a `pg.Query`: what a parser of values threw, until it passes that on at the end of the answer. */
  readonly _canceledDueToError?: unknown
}

/** What a connection needs to know of a guest. */
export interface SubmittableEvents {
  /** What the guest is told of a failure in its place. */
  told(error: unknown): unknown
  /** It has failed, by the word of the server, or before anything was sent. */
  failed(error: Error, wasSent: boolean): void
  /** Its own code has thrown while it read an answer. */
  threw(error: unknown): void
}

/** What `pg` takes for the query: hands everything on, and notes what the connection needs to know. */
class SubmittableListener {
  readonly #inner: Submittable
  readonly #news: SubmittableEvents
  #connection: SubmittableConnection | undefined
  /** Whether its exchange is over for the guest, which hears nothing more. */
  #isOver = false
  /** Whether the server has said so. */
  #hasFailed = false
  /** Whether rows that still come are of no use to anybody. */
  isDropping = false
  sent = false
  callback: unknown = nothing
  /** Rows that have come, and when the first of them did. */
  rows = 0
  firstRowAt: number | undefined
  /** The word of the server on what it has done. */
  tag: string | undefined
  /** Reads the clock of the connection; set with it. */
  now: () => number = never

  constructor(inner: Submittable, news: SubmittableEvents) {
    this.#inner = inner
    this.#news = news
  }

  get name(): string | undefined {
    return this.#inner.name
  }
  get text(): string | undefined {
    return this.#inner.text
  }
  /** `pg` puts the type parsers of its client in here. */
  get _result(): Submittable['_result'] {
    return this.#inner._result
  }
  /** Whether the server was asked for rows that have not all come. */
  get isBusy(): boolean {
    return this.#connection?.isBusy === true
  }

  /** The first text that it has sent. */
  get sentText(): string | undefined {
    return this.#connection?.sentText
  }
  /** How long the server was asked for rows, in milliseconds; undefined where it was asked in another way. */
  get ranMs(): number | undefined {
    return this.#connection?.ranMs
  }

  submit(connection: WireConnection): unknown {
    this.sent = true
    const lent = new SubmittableConnection(connection, this.now)
    this.#connection = lent
    const refused = this.#inner.submit(lent.face as never)
    if (refused instanceof Error) {
      this.sent = false
      lent.unused()
    }
    return refused
  }

  /**
   * Nobody will ask for more of it, or give it more. Where it does not end by itself then, it is ended with this error.
   *
   * @returns whether that was so, and what is left to be done
   */
  leave(error: unknown): 'ends-by-itself' | 'ended' | 'session-must-end' {
    const lent = this.#connection
    if (!this.sent || this.#isOver || lent === undefined || lent.isReady) return 'ends-by-itself'
    const { hasSocket, isOpen } = lent
    const isSource = this.#inner.writableEnded === false && !this.#hasFailed
    if (!isOpen && !hasSocket && !isSource) return 'ends-by-itself'
    if (hasSocket) lent.takeSocket()
    else if (!isOpen) lent.failCopy('the client was given up while it had not ended its COPY')
    try {
      this.end(error)
    } catch (thrown) {
      // A stream to which nobody listens throws what it is told: of one that was left nobody wants to know.
      if (thrown !== error) warnOfListener(thrown)
    }
    return hasSocket ? 'session-must-end' : 'ended'
  }

  /** Ends the exchange at once: the guest gets this error, and nothing that still comes. */
  end(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#fail(error)
    this.#connection?.close()
  }

  handleError(error: Error): void {
    this.#hasFailed = true
    this.#connection?.answered()
    this.#news.failed(error, this.sent)
    if (!this.#isOver) this.#fail(error)
  }

  handleReadyForQuery(): void {
    if (this.#isOver) return
    const { _canceledDueToError: unread } = this.#inner
    if (unread !== undefined && unread !== false && unread !== null) this.#news.threw(unread)
    tell(this.#inner, 'handleReadyForQuery', this.#connection?.face)
  }

  handleRowDescription(message: unknown): void {
    this.#tell('handleRowDescription', message)
  }
  handleDataRow(message: unknown): void {
    if (this.rows === 0) this.firstRowAt = this.now()
    this.rows += 1
    if (!this.isDropping) this.#tell('handleDataRow', message)
  }
  handlePortalSuspended(): void {
    this.#connection?.answered()
    this.#tell('handlePortalSuspended', this.#connection?.face)
  }
  handleEmptyQuery(): void {
    this.#tell('handleEmptyQuery', this.#connection?.face)
  }
  handleCommandComplete(message: CommandCompleteMessage): void {
    this.#connection?.answered()
    this.tag = message.text
    this.#tell('handleCommandComplete', message, this.#connection?.face)
  }
  handleCopyInResponse(): void {
    this.#tell('handleCopyInResponse', this.#connection?.face)
  }
  handleCopyData(message: unknown): void {
    this.#tell('handleCopyData', message, this.#connection?.face)
  }

  #tell(handler: string, ...args: unknown[]): void {
    if (this.#isOver) return
    try {
      tell(this.#inner, handler, ...args)
    } catch (error) {
      this.#news.threw(error)
      this.end(error)
    }
  }

  /** Cursors end their exchange by themselves when they hear of an error. */
  #fail(error: unknown): void {
    try {
      tell(this.#inner, 'handleError', this.#news.told(error), this.#connection?.face)
    } finally {
      this.#connection?.end()
    }
  }
}

type Handler = (...args: unknown[]) => void

/** Calls a handler of a guest that has it. */
export function tell(inner: Submittable, handler: string, ...args: unknown[]): void {
  ;(inner as unknown as Readonly<Record<string, Handler | undefined>>)[handler]?.call(inner, ...args)
}

const nothing = (): void => undefined

function never(): never {
  throw new Error('bug: a guest has been given no clock')
}

/** A Submittable in the place of a statement. */
export interface SubmittableConfig extends StatementConfig {
  readonly foreign: SubmittableAdapter
}

/** Somebody's Submittable on its way over a connection, which it has to itself. Its answers come from `pg`. */
export class SubmittableAdapter extends Operation {
  readonly #inner: Submittable
  readonly #ear: SubmittableListener
  readonly #told: (error: unknown) => unknown
  #connection: WireConnection | undefined
  #tearDown: () => void = nothing
  /** Set by the connection: called when it failed before a byte was sent, so that no answer will come. */
  onUnsent: ((error: Error) => void) | undefined
  /** Why nobody will ask for more of it, once that is so. */
  #left: Error | undefined
  static #isAnyWriting = false
  resolve: (result: QueryResult) => void = nothing
  reject: (error: unknown) => void = nothing

  /** @param told what its owner is told of a failure in its place */
  constructor(inner: Submittable, told: (error: unknown) => unknown = same) {
    super(textOf(inner))
    this.isSubmittable = true
    this.isReported = true
    this.#inner = inner
    this.#told = told
    this.#ear = new SubmittableListener(inner, {
      told: (error) => told(this.#whyCancelled(error)),
      failed: (error, wasSent) => {
        this.failure ??= error
        if (!wasSent) this.onUnsent?.(error)
      },
      threw: (error) => this.cannotRead(error),
    })
  }

  /** Whether one of this process is being written now: `pg` has one place for the messages of all its connections. */
  static get isAnyWriting(): boolean {
    return SubmittableAdapter.#isAnyWriting
  }
  /** Whether the server was asked for rows that have not all come. */
  get isBusy(): boolean {
    return this.#ear.isBusy
  }
  /** Whether it was given the connection, and may have written. */
  get hasBegun(): boolean {
    return this.#ear.sent
  }

  override get name(): string | undefined {
    const { name } = this.#inner
    return typeof name === 'string' && name !== '' ? name : undefined
  }

  override get reportedText(): string {
    return this.text === '' ? (this.#ear.sentText ?? '') : this.text
  }

  override get firstRowMs(): number | undefined {
    const { firstRowAt } = this.#ear
    return firstRowAt === undefined ? undefined : firstRowAt - this.sentAt
  }

  override get reportedOutcome(): ReportedOutcome {
    const { tag, rows } = this.#ear
    // Of a cursor that is not read to its end the server does not say what it has done.
    const said = tag === undefined ? undefined : tagOf(tag)
    // The server counts the rows of the last piece alone.
    return { command: said?.command ?? undefined, rowCount: rows > 0 ? rows : (said?.rowCount ?? 0) }
  }

  /** Without the time in which a reader asks for nothing, where it asks for rows piece by piece. */
  override ranMs(now: number): number {
    return this.#ear.ranMs ?? super.ranMs(now)
  }

  override get result(): QueryResult {
    // Who made the Submittable has it from there.
    return { rows: [], rowCount: null, fields: [], command: '' }
  }

  override answer(error: unknown): void {
    if (error === undefined) this.resolve(this.result)
    else {
      this.#ear.isDropping = true
      this.reject(error)
    }
  }

  override write({ writer, cache, client, protocol, now, tearDown }: Wire): void {
    cache.submittableText = this.text === '' ? undefined : sqlText(this.text)
    this.#ear.now = now
    // What the writer holds goes first.
    writer.write()
    this.#connection = protocol
    this.#tearDown = tearDown
    SubmittableAdapter.#isAnyWriting = true
    try {
      client.query(this.#ear as unknown as pg.Submittable)
    } finally {
      SubmittableAdapter.#isAnyWriting = false
    }
  }

  /** What its owner is told where the server has cancelled it, as its caller had given it up. */
  #whyCancelled(error: unknown): unknown {
    const { givenUp: reason } = this
    if (reason === undefined || error instanceof LifeguardError || classify(error) !== 'cancelled') return error
    const { commitsByItself, endsTransaction } = this.effects
    return givenUp(reason, commitsByItself || endsTransaction ? 'unknown' : 'cancelled', error)
  }

  /** Its caller has given it up. Where it does not end by itself, no cancel ends it. */
  override interrupt(): void {
    const { givenUp: reason } = this
    if (reason !== undefined) this.leave(this.#left ?? givenUp(reason, 'unknown'))
  }

  /** Ends it with this error, now or when it begins; says whether it did now. What ends by itself goes on. */
  leave(error: Error): boolean {
    this.#left ??= error
    const left = this.#ear.leave(error)
    if (left === 'session-must-end') this.#tearDown()
    return left === 'ended'
  }

  /** It has been sent. */
  begun(): void {
    if (this.#left !== undefined) this.leave(this.#left)
  }

  /** To be called when it has failed: tells it what it would not hear otherwise, so that nobody waits for it for ever. */
  failed(error: unknown, isLost: boolean): void {
    if (!this.sent && this.failure === undefined) tell(this.#inner, 'handleError', this.#told(error))
    const connection = this.#connection
    // Cursors wait for this answer also when no answer can come any more, and streams over them do not end until then.
    if (isLost && this.#ear.sent && connection !== undefined) {
      nextTick(() => connection.emit('readyForQuery', { status: 'I' }))
    }
  }
}

/** A stream of pg-query-stream has its text in its cursor. */
function textOf({ text, cursor }: Submittable): string {
  const found: unknown = text ?? cursor?.text
  return typeof found === 'string' ? found : ''
}

const same = (error: unknown): unknown => error

/** What takes the place of a `pg.Pool`: the type is pg's own. */
export type PgPool = pg.Pool

/** What takes the place of a `pg.Client` that is connected: the type is pg's own. */
export type PgClient = pg.ClientBase

/** The fields of a `pg.Client` that a view of one has to fill in by itself. */
export interface PgClientFields extends EventEmitter {
  processID: number | null
  secretKey: number | null
  _types: unknown
  _connected: boolean
  readonly _ending: boolean
}

/** `pg.Client`, to be extended by what stands for a connection that exists already. */
export const PgClientBase = pg.Client as unknown as new (config: {
  readonly connection: WireConnection
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly database: string | undefined
}) => PgClientFields

/** `pg.Pool`, to be extended by what only looks like it: its constructor opens nothing. */
export const PgPoolBase = pg.Pool as unknown as new (
  options: Readonly<Record<string, unknown>>,
) => EventEmitter & { readonly options: Record<string, unknown> }

/** The configuration of a client that stands for this one, over the same connection. */
export function sameClient(client: pg.Client): ConstructorParameters<typeof PgClientBase>[0] {
  const { connection } = client as unknown as ClientInternals
  return { connection, host: client.host, port: client.port, user: client.user, database: client.database }
}

/** Copies what the server said to this client at its start, and its type parsers. */
export function takeIdentity(view: PgClientFields, client: pg.Client): void {
  const { processID, secretKey, _types } = client as unknown as PgClientFields
  Object.assign(view, { processID, secretKey, _types, _connected: true })
}

/** `pg`'s own query, for the options that ours does not have. */
export function nativeQuery(config: object, callback: (error: unknown, result: never) => void): Submittable {
  return new pg.Query(config as pg.QueryConfig, callback as never) as unknown as Submittable
}
