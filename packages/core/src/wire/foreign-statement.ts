import type pg from 'pg'
import { nextTick } from '../base/own-timers.js'
import { classify } from '../errors/classify.js'
import { givenUp } from '../errors/given-up.js'
import { LifeguardError } from '../errors/lifeguard-error.js'
import { tagOf } from './command-tag.js'
import { GuestEar, type Submittable, tell } from './guest-ear.js'
import { Operation, type Wire } from './operation.js'
import type { WireConnection } from './pg-internals.js'
import type { QueryResult } from './query-result.js'
import type { ReportedOutcome } from './reported.js'
import type { StatementConfig } from './statement.js'

export type { Submittable }

/** A Submittable in the place of a statement. */
export interface ForeignConfig extends StatementConfig {
  readonly foreign: ForeignStatement
}

/** Somebody's Submittable on its way over a connection, which it has to itself. Its answers come from `pg`. */
export class ForeignStatement extends Operation {
  readonly #inner: Submittable
  readonly #ear: GuestEar
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
    this.isGuest = true
    this.isReported = true
    this.#inner = inner
    this.#told = told
    this.#ear = new GuestEar(inner, {
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
    return ForeignStatement.#isAnyWriting
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

  override write({ outbox, cache, client, protocol, now, tearDown }: Wire): void {
    cache.guestText = this.text === '' ? undefined : this.text
    this.#ear.now = now
    // What is in the outbox goes first.
    outbox.write()
    this.#connection = protocol
    this.#tearDown = tearDown
    ForeignStatement.#isAnyWriting = true
    try {
      client.query(this.#ear as unknown as pg.Submittable)
    } finally {
      ForeignStatement.#isAnyWriting = false
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

const nothing = (): void => undefined
