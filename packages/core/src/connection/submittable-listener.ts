import { noop } from '../observe/noop.js'
import { warnOfListener } from '../observe/user-callback.js'
import type { CommandCompleteMessage, Submittable, WireConnection } from './pg-internals.js'
import { SubmittableConnection } from './submittable-connection.js'

/** What the adapter of a submittable hears of it. */
export interface SubmittableEvents {
  /** Which error the submittable gets for this one. */
  reported(error: unknown): unknown
  /** It has failed, by the word of the server, or before anything was sent. */
  onFailed(error: Error, wasSent: boolean): void
  /** Its own code has thrown while it read an answer. */
  onThrew(error: unknown): void
}

/** What `pg` takes for the query: hands everything on, and notes what the connection needs to know. */
export class SubmittableListener {
  readonly #inner: Submittable
  readonly #events: SubmittableEvents
  #connection: SubmittableConnection | undefined
  /** Whether its exchange is over for the submittable, which hears nothing more. */
  #isOver = false
  /** Whether the server has said so. */
  #hasFailed = false
  /** Whether rows that still come are of no use to anybody. */
  isDropping = false
  sent = false
  callback: unknown = noop
  /** Rows that have come, and when the first of them did. */
  rows = 0
  firstRowAt: number | undefined
  /** The word of the server on what it has done. */
  tag: string | undefined
  /** Reads the clock of the connection; set with it. */
  now: () => number = never

  constructor(inner: Submittable, events: SubmittableEvents) {
    this.#inner = inner
    this.#events = events
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
    const own = new SubmittableConnection(connection, this.now)
    this.#connection = own
    const refused = this.#inner.submit(own.face as never)
    if (refused instanceof Error) {
      this.sent = false
      own.unused()
    }
    return refused
  }

  /**
   * Nobody will ask for more of it, or give it more. Where it does not end by itself then, it is ended with this error.
   *
   * @returns whether that was so, and what is left to be done
   */
  close(error: unknown): 'ends-by-itself' | 'ended' | 'session-must-end' {
    const connection = this.#connection
    if (!this.sent || this.#isOver || connection === undefined || connection.isReady) return 'ends-by-itself'
    const { hasSocket, isOpen } = connection
    const isSource = this.#inner.writableEnded === false && !this.#hasFailed
    if (!isOpen && !hasSocket && !isSource) return 'ends-by-itself'
    if (hasSocket) connection.takeSocket()
    else if (!isOpen) connection.failCopy('the client was given up while it had not ended its COPY')
    try {
      this.end(error)
    } catch (thrown) {
      // A stream to which nobody listens throws the error that it gets: of one that was closed nobody wants to know.
      if (thrown !== error) warnOfListener(thrown)
    }
    return hasSocket ? 'session-must-end' : 'ended'
  }

  /** Ends the exchange at once: the submittable gets this error, and nothing that still comes. */
  end(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#fail(error)
    this.#connection?.close()
  }

  handleError(error: Error): void {
    this.#hasFailed = true
    this.#connection?.answered()
    this.#events.onFailed(error, this.sent)
    if (!this.#isOver) this.#fail(error)
  }

  handleReadyForQuery(): void {
    if (this.#isOver) return
    const { _canceledDueToError: unread } = this.#inner
    if (unread !== undefined && unread !== false && unread !== null) this.#events.onThrew(unread)
    callHandler(this.#inner, 'handleReadyForQuery', this.#connection?.face)
  }

  handleRowDescription(message: unknown): void {
    this.#call('handleRowDescription', message)
  }
  handleDataRow(message: unknown): void {
    if (this.rows === 0) this.firstRowAt = this.now()
    this.rows += 1
    if (!this.isDropping) this.#call('handleDataRow', message)
  }
  handlePortalSuspended(): void {
    this.#connection?.answered()
    this.#call('handlePortalSuspended', this.#connection?.face)
  }
  handleEmptyQuery(): void {
    this.#call('handleEmptyQuery', this.#connection?.face)
  }
  handleCommandComplete(message: CommandCompleteMessage): void {
    this.#connection?.answered()
    this.tag = message.text
    this.#call('handleCommandComplete', message, this.#connection?.face)
  }
  handleCopyInResponse(): void {
    this.#call('handleCopyInResponse', this.#connection?.face)
  }
  handleCopyData(message: unknown): void {
    this.#call('handleCopyData', message, this.#connection?.face)
  }

  #call(handler: string, ...args: unknown[]): void {
    if (this.#isOver) return
    try {
      callHandler(this.#inner, handler, ...args)
    } catch (error) {
      this.#events.onThrew(error)
      this.end(error)
    }
  }

  /** Cursors end their exchange by themselves when they hear of an error. */
  #fail(error: unknown): void {
    try {
      callHandler(this.#inner, 'handleError', this.#events.reported(error), this.#connection?.face)
    } finally {
      this.#connection?.end()
    }
  }
}

type Handler = (...args: unknown[]) => void

/** Calls a handler of a submittable that has it. */
export function callHandler(inner: Submittable, handler: string, ...args: unknown[]): void {
  ;(inner as unknown as Readonly<Record<string, Handler | undefined>>)[handler]?.call(inner, ...args)
}

function never(): never {
  throw new Error('bug: a submittable has been given no clock')
}
