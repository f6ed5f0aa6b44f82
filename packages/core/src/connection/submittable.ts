import type pg from 'pg'
import { nextTick } from '../deadline/clock.js'
import { givenUp } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { LifeguardError } from '../errors/lifeguard-error.js'
import { noop } from '../observe/noop.js'
import { sqlText } from '../sql/sql-text.js'
import { Operation, type Wire } from './operation.js'
import type { Submittable, WireConnection } from './pg-internals.js'
import type { ReportedOutcome } from './reported.js'
import type { QueryResult } from './result.js'
import { tagOf } from './statement.js'
import { callHandler, SubmittableListener } from './submittable-listener.js'

/** A submittable on its way over a connection, which it has to itself. Its messages are written and read by `pg`. */
export class SubmittableAdapter extends Operation {
  override readonly isSubmittable = true
  readonly #inner: Submittable
  readonly #listener: SubmittableListener
  readonly #reported: (error: unknown) => unknown
  #connection: WireConnection | undefined
  #tearDown: () => void = noop
  /** Set by the connection: called when it failed before a byte was sent, so that no answer will come. */
  onUnsent: ((error: Error) => void) | undefined
  /** Why nobody will ask for more of it, once that is so. */
  #closedWith: Error | undefined
  static #isAnyWriting = false

  /** @param reported which error its owner gets for a failure */
  constructor(inner: Submittable, reported: (error: unknown) => unknown = same) {
    super(textOf(inner))
    this.isReported = true
    this.#inner = inner
    this.#reported = reported
    this.#listener = new SubmittableListener(inner, {
      reported: (error) => reported(this.#whyCancelled(error)),
      onFailed: (error, wasSent) => {
        this.failure ??= error
        if (!wasSent) this.onUnsent?.(error)
      },
      onThrew: (error) => this.cannotRead(error),
    })
  }

  /** Whether one of this process is being written now: `pg` has one place for the messages of all its connections. */
  static get isAnyWriting(): boolean {
    return SubmittableAdapter.#isAnyWriting
  }
  /** Whether the server was asked for rows that have not all come. */
  get isBusy(): boolean {
    return this.#listener.isBusy
  }
  /** Whether it was given the connection, and may have written. */
  get hasBegun(): boolean {
    return this.#listener.sent
  }

  override get name(): string | undefined {
    const { name } = this.#inner
    return typeof name === 'string' && name !== '' ? name : undefined
  }

  override get reportedText(): string {
    return this.text === '' ? (this.#listener.sentText ?? '') : this.text
  }

  override get firstRowMs(): number | undefined {
    const { firstRowAt } = this.#listener
    return firstRowAt === undefined ? undefined : firstRowAt - this.sentAt
  }

  override get reportedOutcome(): ReportedOutcome {
    const { tag, rows } = this.#listener
    // Of a cursor that is not read to its end the server does not say what it has done.
    const said = tag === undefined ? undefined : tagOf(tag)
    // The server counts the rows of the last piece alone.
    return { command: said?.command ?? undefined, rowCount: rows > 0 ? rows : (said?.rowCount ?? 0) }
  }

  /** Without the time in which a reader asks for nothing, where it asks for rows piece by piece. */
  override ranMs(now: number): number {
    return this.#listener.ranMs ?? super.ranMs(now)
  }

  override get result(): QueryResult {
    // Who made the Submittable has it from there.
    return { rows: [], rowCount: null, fields: [], command: '' }
  }

  override get isComplete(): boolean {
    // `pg` has read the answer.
    return true
  }

  protected override onAnswer(error: unknown): void {
    if (error !== undefined) this.#listener.isDropping = true
  }

  protected override writeOwn({ writer, cache, client, protocol, now, tearDown }: Wire): void {
    cache.submittableText = this.text === '' ? undefined : sqlText(this.text)
    this.#listener.now = now
    // What the writer holds goes first.
    writer.write()
    this.#connection = protocol
    this.#tearDown = tearDown
    SubmittableAdapter.#isAnyWriting = true
    try {
      client.query(this.#listener as unknown as pg.Submittable)
    } finally {
      SubmittableAdapter.#isAnyWriting = false
    }
  }

  /** The error for its owner where the server has cancelled it, as its caller had given it up. */
  #whyCancelled(error: unknown): unknown {
    const { givenUp: reason } = this
    if (reason === undefined || error instanceof LifeguardError || classify(error) !== 'cancelled') return error
    const { commitsByItself, endsTransaction } = this.effects
    return givenUp(reason, commitsByItself || endsTransaction ? 'unknown' : 'cancelled', error)
  }

  /** Its caller has given it up. Where it does not end by itself, no cancel ends it. */
  override interrupt(): void {
    const { givenUp: reason } = this
    if (reason !== undefined) this.close(this.#closedWith ?? givenUp(reason, 'unknown'))
  }

  /** Ends it with this error, now or when it begins; says whether it did now. What ends by itself goes on. */
  close(error: Error): boolean {
    this.#closedWith ??= error
    const closed = this.#listener.close(error)
    if (closed === 'session-must-end') this.#tearDown()
    return closed === 'ended'
  }

  /** It has been sent. */
  onSent(): void {
    if (this.#closedWith !== undefined) this.close(this.#closedWith)
  }

  /** To be called when it has failed: reports to it what it would not hear otherwise, so that nobody waits for ever. */
  failed(error: unknown, isLost: boolean): void {
    if (!this.sent && this.failure === undefined) callHandler(this.#inner, 'handleError', this.#reported(error))
    const connection = this.#connection
    // Cursors wait for this answer also when no answer can come any more, and streams over them do not end until then.
    if (isLost && this.#listener.sent && connection !== undefined) {
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
