import type { Duplex } from 'node:stream'
import { type CallerContext, callerContext, inNoContext } from '../observe/context.js'
import type { Field } from './pg-internals.js'
import type { Reported, ReportedOutcome } from './reported.js'
import type { QueryResult } from './result.js'
import type { ReaderKeeper } from './row-reader.js'

/** Says what became of a statement, after so many milliseconds; undefined when nothing of it was sent. */
export type Report = (error: unknown, durationMs: number | undefined) => void

/**
 * A statement whose rows are fetched in pieces, each of which is an operation of its own: reported as one when all of it
 * is over. Its time is that of its trips. What its reader does between them says nothing of the server.
 */
export class FetchedStatement implements Reported {
  readonly reportedText: string
  readonly name: string | undefined
  readonly caller: CallerContext | undefined
  readonly why = undefined
  readonly batchSize = undefined
  firstRowMs: number | undefined
  /** How long the piece that was answered last has taken, as far as that is known. */
  lastMs: number | undefined
  /** Set by the observer of the connection, with the first answer. */
  report: Report | undefined
  #rows = 0
  #isEnding = false
  #ranMs: number | undefined
  /** The last word of the server on it. */
  #last: QueryResult | undefined
  #failure: { readonly error: unknown } | undefined

  /** @param caller the context of whoever asked for it, where that is not the one of now */
  constructor(
    { text, name }: { readonly text: string; readonly name?: string | undefined },
    caller: CallerContext | undefined = callerContext(),
  ) {
    this.reportedText = text
    this.name = name
    this.caller = caller
  }

  get reportedOutcome(): ReportedOutcome {
    const { command, rowCount } = this.#last ?? { command: undefined, rowCount: undefined }
    return { command, rowCount: this.#rows > 0 ? this.#rows : (rowCount ?? 0) }
  }

  /** A piece of it was answered. */
  fetched(piece: QueryResult | undefined, durationMs: number | undefined): void {
    this.lastMs = durationMs
    if (durationMs !== undefined) this.#ranMs = (this.#ranMs ?? 0) + durationMs
    if (piece === undefined || this.#isEnding) return
    if (piece.rows.length > 0) this.firstRowMs ??= this.#ranMs
    // The answer to a piece that is not the last one has no such word.
    if (typeof piece.command === 'string') this.#last = piece
  }

  /** So many of its rows are handed over: what was fetched ahead may never be. */
  gave(rows: number): void {
    this.#rows += rows
  }

  /** Nothing more of it is fetched: what is asked from now on ends it. */
  ends(): void {
    this.#isEnding = true
  }

  /** It has failed: in a piece, or for want of a transaction to fetch one in. */
  failed(error: unknown): void {
    this.#failure ??= { error }
  }

  /** What ends it may fail, too. */
  async orFails<T>(ending: Promise<T>): Promise<T> {
    try {
      return await ending
    } catch (error) {
      this.failed(error)
      throw error
    }
  }

  /** Nothing more is fetched: now it is reported, once, if any of it had a connection. */
  over(): void {
    const { report } = this
    this.report = undefined
    // Neither is an error to those who look whether there was one.
    const error = this.#failure === undefined ? undefined : (this.#failure.error ?? new Error('nothing was thrown'))
    report?.(error, this.#ranMs)
  }
}

/**
 * Asks for some rows of a statement at a time. The portal lives as long as its transaction, so that other statements
 * may run between two batches. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export interface PortalRequest extends ReaderKeeper {
  readonly name: string
  /** What all requests for its rows are reported as, this one being a part of it. */
  readonly whole: FetchedStatement
  /** Rows to fetch now, 1 or more; 0 where the statement is what ends it. */
  readonly rows: number
  /** The columns, once they have come with a batch; without them the portal is opened. */
  fields: readonly Field[] | undefined
  /** Set when the batch has come: whether the portal has more to give. */
  hasMore: boolean
  /** Set with the answer: whether the server still has the portal, though the batch may not have been readable here. */
  isOpen: boolean
  /** Counted as the rows come: the bytes of all of them, and of the longest. */
  bytes: number
  longest: number
  /** Where nothing else waits for the connection: gets rows that are long before all of them have come. */
  readonly taker?: PartTaker | undefined
  /** Nobody wants its rows any more: what still comes is not kept. */
  isDropped?: boolean | undefined
}

/** Takes the rows of a fetch in parts. */
export interface PartTaker {
  /** @param goOn lets more come in: until then nothing is read from the socket, and through that the server waits, too */
  take(rows: readonly unknown[], goOn: () => void): void
}

/** Bytes of rows that are handed over before all have come: a fetch seldom has as many. */
const bytesOfPart = 1_048_576

/** The rows of one fetch on their way to whoever takes them in parts. */
export class PartedRows {
  readonly #portal: PortalRequest
  readonly #stream: Duplex
  readonly #now: () => number
  /** Bytes with which the next part is there. */
  #full = bytesOfPart
  #stoppedAt: number | undefined
  /** How long the reader has kept it waiting. */
  #stoppedMs = 0
  readonly #goOn = (): void => this.goOn()

  constructor(portal: PortalRequest, stream: Duplex, now: () => number) {
    this.#portal = portal
    this.#stream = stream
    this.#now = now
  }

  /** Whether as many have come as are handed over at a time. */
  get isFull(): boolean {
    return this.#portal.bytes >= this.#full
  }

  /** @param sentAt when the fetch was sent */
  handOver(rows: readonly unknown[], sentAt: number): void {
    const { whole, taker, bytes } = this.#portal
    this.#full = bytes + bytesOfPart
    const now = this.#now()
    whole.firstRowMs ??= now - sentAt
    if (this.#stoppedAt === undefined) {
      this.#stoppedAt = now
      this.#stream.pause()
    }
    taker?.take(rows, this.#goOn)
  }

  goOn(): void {
    if (this.#stoppedAt === undefined) return
    this.#stoppedMs += this.#now() - this.#stoppedAt
    this.#stoppedAt = undefined
    // The socket goes on in the context of whoever resumes it, and what comes after these rows is for others.
    inNoContext(() => this.#stream.resume())
  }

  /** What is given up must come to its end: no more parts, and nothing is waited for. */
  end(): void {
    this.#full = Number.POSITIVE_INFINITY
    this.goOn()
  }

  waitedMs(now: number): number {
    return this.#stoppedMs + (this.#stoppedAt === undefined ? 0 : now - this.#stoppedAt)
  }
}
