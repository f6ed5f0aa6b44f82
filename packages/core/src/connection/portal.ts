import { type CallerContext, callerContext } from '../observe/context.js'
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
  /** Set by the observer of the connection, with the first answer. */
  report: Report | undefined
  #rows = 0
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
    if (durationMs !== undefined) this.#ranMs = (this.#ranMs ?? 0) + durationMs
    if (piece === undefined || piece.command === closing) return
    if (piece.rows.length > 0) this.firstRowMs ??= this.#ranMs
    this.#rows += piece.rows.length
    // The answer to a piece that is not the last one has no such word.
    if (typeof piece.command === 'string') this.#last = piece
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

/** What the server calls the end of a portal. */
const closing = 'CLOSE'

/**
 * Asks for some rows of a statement at a time. The portal lives as long as its transaction, so that other statements
 * may run between two batches. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export interface PortalRequest extends ReaderKeeper {
  readonly name: string
  /** What all requests for its rows are reported as, this one being a part of it. */
  readonly whole: FetchedStatement
  /** Rows to fetch now, 1 or more; 0 where the statement is CLOSE. */
  readonly rows: number
  /** The columns, once they have come with the first batch; without them the portal is opened. */
  readonly fields: readonly Field[] | undefined
  /** Set when the batch has come: whether the portal has more to give. */
  hasMore: boolean
  /** Set with the answer: whether the server still has the portal, though the batch may not have been readable here. */
  isOpen: boolean
}
