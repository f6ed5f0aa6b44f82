import { warnOfListener } from '../base/user-callback.js'
import { GuestConnection } from './guest-connection.js'
import type { CommandCompleteMessage, WireConnection } from './pg-internals.js'

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
export interface GuestNews {
  /** What the guest is told of a failure in its place. */
  told(error: unknown): unknown
  /** It has failed, by the word of the server, or before anything was sent. */
  failed(error: Error, wasSent: boolean): void
  /** Its own code has thrown while it read an answer. */
  threw(error: unknown): void
}

/** What `pg` takes for the query: hands everything on, and notes what the connection needs to know. */
export class GuestEar {
  readonly #inner: Submittable
  readonly #news: GuestNews
  #connection: GuestConnection | undefined
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

  constructor(inner: Submittable, news: GuestNews) {
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
    const lent = new GuestConnection(connection, this.now)
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
