import type pg from 'pg'
import type { Timer } from '../deadline/clock.js'
import type { GivenUpReason } from '../deadline/deadline.js'
import { thrownError } from '../errors/lifeguard-error.js'
import { type CallerContext, callerContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import { SqlText, sqlText } from '../sql/sql-text.js'
import type { TextEffects } from '../sql/transaction-control.js'
import type { MessageWriter } from './message-writer.js'
import type {
  CommandCompleteMessage,
  Field,
  RowDescriptionMessage,
  TypeParsers,
  WireConnection,
} from './pg-internals.js'
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

/** A command that travels ahead of a statement in the same round trip: BEGIN, SAVEPOINT, set_config. */
export interface Prelude {
  readonly text: string
  readonly values?: readonly string[]
  /** Of BEGIN: what of the transaction's role and settings decides what SQL text means, in any form that distinguishes them. */
  readonly meaning?: string | undefined
  /** Called with the columns of each row that it gives, as text. */
  readonly onRow?: (columns: readonly (string | null)[]) => void
  /** Called with the server's word for what it did, `COMMIT` or `ROLLBACK` say, once it is done. */
  readonly onComplete?: (command: string) => void
}

/** A parser of values has thrown, or there was none to be had. */
export interface Unreadable {
  /** Whatever it threw. */
  readonly error: unknown
  /** Which statement of a batch it was about. */
  readonly index: number | undefined
}

/**
 * What a connection notes of an operation on its way: the pipeline, the queue of what is in flight, and the canceller write
 * it; everybody else only reads it.
 */
export interface Progress {
  /** What the observer of the connection gave when the operation was asked for; handed back to it with the answer. */
  mark: number
  /** Ends the watch over its deadline. */
  stopWatching: () => void
  /** Whether any byte of it was written. */
  sent: boolean
  /** When it was sent, on the connection's clock. */
  sentAt: number
  /** `MessageWriter.writes` at the time when it was put in there. */
  postedAt: number
  /** Bytes that it takes on the way to the server. */
  bytes: number
  /** Whether nothing else was under way when it was sent. */
  wasAlone: boolean
  /** Milliseconds that it had been under way for when all that was sent before it had been answered. */
  aheadMs: number
  /** Why its caller gave up, once it has. */
  givenUp: GivenUpReason | undefined
  /** Runs from then on, until the caller is given 'unknown' for the outcome. */
  grace: Timer | undefined
  /** A cancel request that is meant for another operation may hit this one. */
  isExposed: boolean
  /** Whether the caller has its answer. */
  isAnswered: boolean
}

/**
 * Something that a connection does for somebody: one message exchange, up to the ReadyForQuery that ends it. One object
 * for the question, its caller and its answer, as there is one for each statement that anybody runs.
 *
 * It writes its preludes, counts them and gives them their answers: a subclass has only what comes after them, in
 * `writeOwn` and in the methods that are called `on...`.
 */
export abstract class Operation implements Reported, Progress {
  // Its own, from the start on.

  /** SQL; empty for what is no single statement. */
  readonly text: string
  /** Whether its messages are written and read by `pg`. */
  readonly isSubmittable: boolean = false
  readonly #preludes: readonly Prelude[]
  /** Preludes whose CommandComplete has not come yet: what comes before it is theirs. */
  #preludesLeft: number
  #isComplete = false
  /** The first thing that went wrong on the server or on the way, if anything did. */
  failure: Error | undefined
  /** What the reading of its rows has met in the code of its caller; the server knows nothing of it. */
  unreadable: Unreadable | undefined
  /** How often it was run again, because the server had undone it for no fault of its own. */
  reruns = 0

  // Set by whoever runs it, before it is asked for.

  /** Whether it is reported to whoever watches: not what is a sign of life, or a part of what is reported as one. */
  isReported: boolean
  /** What is reported in the place of its text. */
  label: string | undefined
  /** Where it was asked for, while somebody traces: it may be sent and answered anywhere. */
  caller: CallerContext | undefined
  /** Why the server that runs it was chosen, where there was a choice; for events. */
  why: string | undefined
  /** Whether others may be under way on the same connection at the same time. */
  isSharing = false
  resolve: (result: QueryResult) => void = noop
  reject: (error: unknown) => void = noop

  // Written by the connection alone: see `Progress`.

  readonly mark: number = 0
  readonly stopWatching: () => void = noop
  readonly sent: boolean = false
  readonly sentAt: number = 0
  readonly postedAt: number = 0
  readonly bytes: number = 0
  readonly wasAlone: boolean = false
  readonly aheadMs: number = 0
  readonly givenUp: GivenUpReason | undefined
  readonly grace: Timer | undefined
  readonly isExposed: boolean = false
  readonly isAnswered: boolean = false

  constructor(text: string, preludes: readonly Prelude[] = noPreludes) {
    this.text = text
    this.#preludes = preludes
    this.#preludesLeft = preludes.length
    this.isReported = text !== ''
    this.caller = callerContext()
  }

  // What is reported of it

  get reportedText(): string {
    return this.label ?? this.text
  }
  /** The name of a prepared statement that its caller gave. */
  get name(): string | undefined {
    return undefined
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
  /** How long it has kept the server busy, in milliseconds, as far as that is known. */
  ranMs(now: number): number {
    return now - this.sentAt
  }

  // What it may do, and has done

  /** What came of it, once it has succeeded. */
  abstract get result(): QueryResult
  /** The texts that it runs for its caller. */
  get texts(): readonly string[] {
    return [this.text]
  }
  /** What it may do to transactions, as far as its words show. */
  get effects(): TextEffects {
    return sqlText(this.text).effects
  }
  /** Whether all that its statements have done was undone by the last of them. */
  get wasRolledBack(): boolean {
    return false
  }
  /** Whether the server has said what came of it, unless that is a failure. */
  get isComplete(): boolean {
    return this.#isComplete
  }
  /** Whether it failed over a prepared statement that the server has no more, or not in this form: nothing has run. */
  get isStale(): boolean {
    return false
  }
  /** Whether it failed over what may be such a statement: nothing has run, and one more run with a new one will show it. */
  get mayBeStale(): boolean {
    return false
  }
  /** Whether nothing else has been done with it: a COMMIT among its preludes stays done when the statement fails. */
  get mayRunAgain(): boolean {
    for (const { onComplete } of this.#preludes) if (onComplete !== undefined) return false
    return true
  }

  /** Answers its caller: with an error, or with `undefined` for success. Called once for each run. */
  answer(error: unknown): void {
    this.onAnswer(error)
    if (error === undefined) this.resolve(this.result)
    else this.reject(error)
  }

  /** Forgets an answer, to be sent once more. */
  reset(): void {
    resetProgress(this)
    this.failure = undefined
    this.unreadable = undefined
    this.reruns += 1
    this.#preludesLeft = this.#preludes.length
    this.#isComplete = false
  }

  // What is sent

  /**
   * Puts its messages into the writer: the preludes, then its own.
   *
   * @throws when it cannot be sent; then what it has put there is taken back
   */
  write(wire: Wire): void {
    const { writer, cache } = wire
    for (const { text, values, meaning } of this.#preludes) {
      if (meaning !== undefined) cache.enter(meaning)
      writer.parse('', text)
      writer.bind('', undefined, values)
      writer.execute('', 0)
    }
    this.writeOwn(wire)
  }

  /** Writes its own messages, or the first of them. */
  protected abstract writeOwn(wire: Wire): void

  /** What it has written is taken back: nothing of it is sent. */
  unwritten(_wire: Wire): void {
    // Of no interest here.
  }

  /** Its caller has given it up while it runs; the connection cancels it on the server besides. */
  interrupt(): void {
    // A statement has nothing to do about that; a COPY does.
  }

  protected get hasPreludes(): boolean {
    return this.#preludes.length > 0
  }
  /** Whether all preludes have been answered. */
  protected get arePreludesDone(): boolean {
    return this.#preludesLeft === 0
  }

  /** Whether the rows that come are its own, and somebody waits for them. */
  protected get isTakingRows(): boolean {
    return this.#preludesLeft === 0 && this.unreadable === undefined && this.failure === undefined && !this.isAnswered
  }

  // What is answered: called by the connection

  /** The statement that is being answered; `nothingToNote` for one that only reads or writes rows, or is of the pool's own. */
  get answering(): SqlText {
    return this.#preludesLeft > 0 ? nothingToNote : this.statement
  }

  handleParseComplete(wire: Wire): void {
    if (this.#preludesLeft === 0) this.onParseComplete(wire)
  }

  handleBindComplete(): void {
    if (this.#preludesLeft === 0) this.onBindComplete()
  }

  handleRowDescription({ fields }: RowDescriptionMessage): void {
    if (this.#preludesLeft === 0) this.onRowDescription(fields)
  }

  handleNoData(): void {
    if (this.#preludesLeft === 0) this.onNoData()
  }

  /**
   * Reads a row out of the bytes in which it came.
   *
   * @returns false when it is wanted as strings, in `handleDataRow`
   */
  readRow(_bytes: Buffer, _at: number, _stop: number): boolean {
    return false
  }

  handleDataRow(columns: readonly (string | null)[]): void {
    if (this.#preludesLeft > 0) this.#preludes.at(-this.#preludesLeft)?.onRow?.(columns)
    // Nobody waits for them any more, or for good reason.
    else if (this.isTakingRows) this.onRow(columns)
  }

  handleCommandComplete(message: CommandCompleteMessage): void {
    if (this.#preludesLeft > 0) {
      this.#preludes.at(-this.#preludesLeft)?.onComplete?.(message.text)
      this.#preludesLeft -= 1
      return
    }
    this.#isComplete = true
    this.onComplete(message)
  }

  handleEmptyQuery(): void {
    if (this.#preludesLeft > 0) {
      this.#preludesLeft -= 1
      return
    }
    this.#isComplete = true
    this.onComplete(undefined)
  }

  handlePortalSuspended(): void {
    if (this.#preludesLeft > 0) return
    this.#isComplete = true
    this.onSuspended()
  }

  handleCopyInResponse(_wire: Wire): void {
    // Of no interest here.
  }

  handleCopyData(_chunk: Buffer): void {
    // Of no interest here.
  }

  /** The server has said that it, or one of its preludes, failed. */
  handleError(error: Error, wire: Wire): void {
    this.failure ??= error
    this.onError(error, wire)
  }

  // What a subclass does about the answers to its own messages

  /** The statement that is being answered, once the preludes have been; `nothingToNote` for one that is about rows only. */
  protected get statement(): SqlText {
    return this.text === '' ? nothingToNote : sqlText(this.text)
  }
  protected onParseComplete(_wire: Wire): void {
    // Of no interest here.
  }
  protected onBindComplete(): void {
    // Of no interest here.
  }
  protected onRowDescription(_fields: readonly Field[]): void {
    // Of no interest here.
  }
  protected onNoData(): void {
    // Of no interest here.
  }
  /** A row that its caller waits for. */
  protected onRow(_columns: readonly (string | null)[]): void {
    // Of no interest here.
  }
  /** @param tag as the server words it: `INSERT 0 1`; undefined for an empty statement */
  protected onComplete(_tag: CommandCompleteMessage | undefined): void {
    // Of no interest here.
  }
  /** As many rows have come as were asked for, and there may be more. */
  protected onSuspended(): void {
    // Of no interest here.
  }
  protected onError(_error: Error, _wire: Wire): void {
    // Of no interest here.
  }
  /** Its caller is about to be answered. What the server may still send is for nobody, if that is an error. */
  protected onAnswer(_error: unknown): void {
    // Of no interest here.
  }

  /** The rows cannot be read: they are dropped from here on, and the caller gets the error when the server is done. */
  protected cannotRead(error: unknown, index?: number): void {
    this.unreadable ??= { error: thrownError(error), index }
  }
}

function resetProgress(progress: Progress): void {
  progress.sent = false
  progress.isExposed = false
  progress.isAnswered = false
}

/** An operation as the connection sees it that runs it. */
export type OnItsWay = Operation & Progress

/** A statement after which nothing has to be noted: see `Operation.answering`. */
export const nothingToNote = new SqlText('')
/** For what brings none. */
export const noPreludes: readonly Prelude[] = []

/** Ends a COPY FROM STDIN for which there is no data, with the words of `pg`. `sync`: no other Sync will be heard. */
export function refuseCopy({ writer, protocol }: Wire, sync: boolean): void {
  // CopyFail is written by `pg`, past the writer: what it holds goes first.
  writer.write()
  protocol.sendCopyFail('No source stream defined')
  if (!sync) return
  writer.sync()
  writer.post()
}

/** An operation as an observer sees it, which only reads. */
export type ObservedOperation = Reported &
  Readonly<Pick<Operation, 'isReported' | 'isSubmittable' | 'result' | 'whole'>>

/** Hears what becomes of the operations of a connection. */
export interface StatementObserver<Connection> {
  /**
   * A statement is asked for, in the context of whoever asks, or of whoever has made room for it: see `Operation.caller`.
   *
   * @returns a mark, handed back with the answer
   */
  asked(statement: ObservedOperation, connection: Connection): number
  /**
   * Its caller has been answered.
   *
   * @param error undefined when it succeeded
   * @param durationMs since it was written to the socket; undefined when it never was
   */
  answered(
    statement: ObservedOperation,
    connection: Connection,
    mark: number,
    error: unknown,
    durationMs: number | undefined,
  ): void
  /** The server answered a statement whose caller had given up before. */
  answeredLate(): void
}
