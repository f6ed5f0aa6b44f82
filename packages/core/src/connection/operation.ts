import type pg from 'pg'
import type { Timer } from '../deadline/clock.js'
import type { GivenUpReason } from '../deadline/deadline.js'
import { thrownError } from '../errors/lifeguard-error.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import { SqlText, sqlText } from '../sql/sql-text.js'
import type { TextEffects } from '../sql/transaction-control.js'
import type { MessageWriter } from './message-writer.js'
import type { CommandCompleteMessage, RowDescriptionMessage, TypeParsers, WireConnection } from './pg-internals.js'
import type { FetchedStatement } from './portal.js'
import type { Reported, ReportedOutcome } from './reported.js'
import type { QueryResult } from './result.js'
import type { StatementCache } from './statement-cache.js'

/** What an operation needs of the connection that runs it. */
export interface Wire {
  readonly writer: MessageWriter
  readonly cache: StatementCache
  readonly types: TypeParsers
  readonly protocol: WireConnection
  readonly client: pg.Client
  /** Reads the clock of the connection. */
  now(): number
  /** Ends the session: for what has left in part and cannot be sent to its end. */
  tearDown(): void
}

/** A parser of values has thrown, or there was none to be had. */
export interface Unreadable {
  /** Whatever it threw. */
  readonly error: unknown
  /** Which statement of a batch it was about. */
  readonly index: number | undefined
}

/** What is answering where nothing of it can matter to others: see `Operation.answering`. */
export const nothingToNote = new SqlText('')

/**
 * Something that a connection does for somebody: one message exchange, up to the ReadyForQuery that ends it. One object
 * for the question, its caller and its answer, as there is one for each statement that anybody runs.
 */
export abstract class Operation implements Reported {
  /** SQL; empty for what is no single statement. */
  readonly text: string
  /** Whether it is reported to whoever watches: not what is a sign of life, or a part of what is reported as one. */
  isReported: boolean
  /** What is reported in the place of its text. */
  label: string | undefined
  /** Where it was asked for, while somebody traces: it may be sent and answered anywhere. */
  caller: CallerContext | undefined
  /** Why the host that serves it was chosen, where there was a choice; for events. */
  why: string | undefined
  /** What the observer of the connection wants to know again with the answer. */
  mark = 0
  /** When it was sent, on the connection's clock. */
  sentAt = 0
  /** Milliseconds that it had been under way for when all that was sent before it had been answered. */
  aheadMs = 0
  /** Whether others may be under way on the same connection at the same time. */
  isSharing = false
  /** Whether nothing else was under way when it was sent. */
  wasAlone = false
  /** Whether its messages are written and read by `pg`. */
  isSubmittable = false
  /** Why its caller gave up, once it has. */
  givenUp: GivenUpReason | undefined
  /** Runs from then on, until the caller is told that the outcome is unknown. */
  grace: Timer | undefined
  /** Whether the caller has its answer. */
  isAnswered = false
  stopWatching: () => void = nothing
  /** Whether any byte of it was written. */
  sent = false
  /** `Outbox.writes` at the time when it was put in there. */
  postedAt = 0
  /** The first thing that went wrong on the server or on the way, if anything did. */
  failure: Error | undefined
  /** What the reading of its rows has met in the code of its caller; the server knows nothing of it. */
  unreadable: Unreadable | undefined
  /** A cancel request that is meant for another operation may hit this one. */
  isExposed = false
  /** How often it was run again, because the server had undone it for no fault of its own. */
  reruns = 0
  /** Bytes that it takes on the way to the server. */
  bytes = 0

  constructor(text = '') {
    this.text = text
    this.isReported = text !== ''
    this.caller = callerContext()
  }

  get reportedText(): string {
    return this.label ?? this.text
  }
  get batchSize(): number | undefined {
    return undefined
  }
  get firstRowMs(): number | undefined {
    return undefined
  }
  /** Once it has succeeded. */
  get reportedOutcome(): ReportedOutcome {
    const { result } = this
    const last = Array.isArray(result) ? (result as (typeof result)[]).at(-1) : result
    return { command: last?.command, rowCount: last?.rowCount }
  }
  /** What is reported in its place, when that is over. */
  get whole(): FetchedStatement | undefined {
    return undefined
  }
  /** How long it has kept the server busy, in milliseconds, as far as that can be told. */
  ranMs(now: number): number {
    return now - this.sentAt
  }

  /** What came of it, once it has succeeded. */
  abstract get result(): QueryResult
  /** The name of a prepared statement that its caller gave. */
  get name(): string | undefined {
    return undefined
  }

  /** The statement that is being answered; `nothingToNote` for one that only reads or writes rows, or is of the pool's own. */
  get answering(): SqlText {
    return sqlText(this.text)
  }

  /** Tells the caller: an error, or undefined when it has succeeded. Called once. */
  abstract answer(error: unknown): void

  /**
   * Puts its messages into the writer.
   *
   * @throws when it cannot be sent; then what it has put there is taken back
   */
  abstract write(wire: Wire): void

  /** Whether the server has said what came of it, unless that is a failure. */
  get isComplete(): boolean {
    return true
  }

  /** What it has written is taken back: nothing of it is sent. */
  unwritten(_wire: Wire): void {
    // Of no interest here.
  }

  /** Whether it failed over a prepared statement that the server has no more, or not in this form: nothing has run. */
  get isStale(): boolean {
    return false
  }
  /** Whether it failed over what may be such a statement: nothing has run, and once more with a new one tells. */
  get mayBeStale(): boolean {
    return false
  }
  /** Whether nothing else has been done with it: a COMMIT that goes ahead of a statement stays done when that fails. */
  get mayRunAgain(): boolean {
    return true
  }
  /** The texts that it runs for its caller. */
  get texts(): readonly string[] {
    return [this.text]
  }
  /** Whether all that its statements have done was undone by the last of them. */
  get wasRolledBack(): boolean {
    return false
  }
  /** What it may do to transactions, as far as its words show. */
  get effects(): TextEffects {
    return sqlText(this.text).effects
  }
  /** Forgets an answer, to be sent once more. */
  reset(): void {
    this.sent = false
    this.failure = undefined
    this.unreadable = undefined
    this.isExposed = false
    this.isAnswered = false
    this.reruns += 1
  }

  /** The rows cannot be read: they are dropped from here on, and the caller gets the error when the server is done. */
  protected cannotRead(error: unknown, index?: number): void {
    this.unreadable ??= { error: thrownError(error), index }
  }

  handleParseComplete(_wire: Wire): void {
    // Of no interest here.
  }

  handleBindComplete(): void {
    // Of no interest here.
  }

  handleRowDescription(_message: RowDescriptionMessage): void {
    // Of no interest here.
  }

  handleNoData(): void {
    // Of no interest here.
  }

  handleDataRow(_fields: readonly (string | null)[]): void {
    // Of no interest here.
  }

  handleCommandComplete(_message: CommandCompleteMessage, _wire: Wire): void {
    // Of no interest here.
  }

  handlePortalSuspended(): void {
    // Of no interest here.
  }

  handleEmptyQuery(_wire: Wire): void {
    // Of no interest here.
  }

  handleCopyData(_chunk: Buffer): void {
    // Of no interest here.
  }

  /** Its caller has given it up while it runs; the connection cancels it on the server besides. */
  interrupt(): void {
    // A statement has nothing to do about that; a COPY does.
  }

  handleCopyInResponse(_wire: Wire): void {
    // Of no interest here.
  }

  handleError(error: Error, _wire: Wire): void {
    this.failure ??= error
  }
}

const nothing = (): void => undefined

/** Ends a COPY FROM STDIN for which there is no data, with the words of `pg`. `sync`: no other Sync will be heard. */
export function refuseCopy({ writer, protocol }: Wire, sync: boolean): void {
  // CopyFail is written by `pg`, past the writer: what it holds goes first.
  writer.write()
  protocol.sendCopyFail('No source stream defined')
  if (!sync) return
  writer.sync()
  writer.post()
}

/** Told what becomes of the statements of a connection. */
export interface StatementObserver<Connection> {
  /**
   * A statement is asked for, in the context of whoever asks, or of whoever has made room for it: see `Operation.caller`.
   *
   * @returns a mark, handed back with the answer
   */
  asked(statement: Operation, connection: Connection): number
  /**
   * Its caller has been answered.
   *
   * @param error undefined when it succeeded
   * @param durationMs since it was written to the socket; undefined when it never was
   */
  answered(
    statement: Operation,
    connection: Connection,
    mark: number,
    error: unknown,
    durationMs: number | undefined,
  ): void
  /** The server answered a statement whose caller had given up before. */
  answeredLate(): void
}
