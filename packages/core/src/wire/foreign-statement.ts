import type pg from 'pg'
import { Operation, type Wire } from './operation.js'
import type { WireConnection } from './pg-internals.js'
import type { QueryResult } from './query-result.js'
import type { StatementConfig } from './statement.js'

/**
 * Something of somebody else's that speaks the protocol by itself, as `pg` lets it: a cursor of pg-cursor, a stream of
 * pg-query-stream or pg-copy-streams, a `pg.Query`. It is told of every answer until the server is ready again.
 */
export interface Submittable {
  submit(connection: never): unknown
  callback?: unknown
  readonly name?: string | undefined
  readonly text?: string | undefined
  readonly _result?: { _types?: unknown } | undefined
}

/** A Submittable in the place of a statement. */
export interface ForeignConfig extends StatementConfig {
  readonly foreign: ForeignStatement
}

type Handler = (...args: unknown[]) => void

/** Somebody's Submittable on its way over a connection, which it has to itself. Its answers come from `pg`. */
export class ForeignStatement extends Operation {
  readonly #inner: Submittable
  readonly #ear: Ear
  #connection: WireConnection | undefined
  /** Set by the connection: called when it failed before a byte was sent, so that no answer will come. */
  onUnsent: ((error: Error) => void) | undefined
  static #isAnyWriting = false
  resolve: (result: QueryResult) => void = nothing
  reject: (error: unknown) => void = nothing

  constructor(inner: Submittable) {
    super(typeof inner.text === 'string' ? inner.text : '')
    this.isGuest = true
    this.#inner = inner
    this.#ear = new Ear(inner, (error, wasSent) => {
      this.failure ??= error
      if (!wasSent) this.onUnsent?.(error)
    })
  }

  /** Whether one of this process is being written now: `pg` has one place for the messages of all its connections. */
  static get isAnyWriting(): boolean {
    return ForeignStatement.#isAnyWriting
  }
  /** Whether it was given the connection, and may have written. */
  get hasBegun(): boolean {
    return this.#ear.sent
  }

  override get result(): QueryResult {
    // Who made the Submittable has it from there.
    return { rows: [], rowCount: null, fields: [], command: '' }
  }

  override answer(error: unknown): void {
    if (error === undefined) this.resolve(this.result)
    else this.reject(error)
  }

  override write({ outbox, cache, client, protocol }: Wire): void {
    cache.guestText = this.#inner.text
    // What is in the outbox goes first.
    outbox.write()
    this.#connection = protocol
    ForeignStatement.#isAnyWriting = true
    try {
      client.query(this.#ear as unknown as pg.Submittable)
    } finally {
      ForeignStatement.#isAnyWriting = false
    }
  }

  /** To be called when it has failed: tells it what it would not hear otherwise, so that nobody waits for it for ever. */
  failed(error: unknown, isLost: boolean): void {
    if (!this.sent && this.failure === undefined) tell(this.#inner, 'handleError', error)
    const connection = this.#connection
    // Cursors wait for this answer also when no answer can come any more, and streams over them do not end until then.
    if (isLost && this.#ear.sent && connection !== undefined) {
      process.nextTick(() => connection.emit('readyForQuery', { status: 'I' }))
    }
  }
}

/** What `pg` takes for the query: hands everything on, and notes what the connection needs to know. */
class Ear {
  readonly #inner: Submittable
  readonly #failed: (error: Error, wasSent: boolean) => void
  sent = false
  callback: unknown = nothing

  constructor(inner: Submittable, failed: (error: Error, wasSent: boolean) => void) {
    this.#inner = inner
    this.#failed = failed
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

  submit(connection: WireConnection): unknown {
    this.sent = true
    const refused = this.#inner.submit(connection as never)
    if (refused instanceof Error) this.sent = false
    return refused
  }

  handleError(error: Error, connection: WireConnection): void {
    this.#tell('handleError', error, connection)
    this.#failed(error, this.sent)
  }

  handleReadyForQuery(connection: WireConnection): void {
    this.#tell('handleReadyForQuery', connection)
  }
  handleRowDescription(message: unknown): void {
    this.#tell('handleRowDescription', message)
  }
  handleDataRow(message: unknown): void {
    this.#tell('handleDataRow', message)
  }
  handlePortalSuspended(connection: WireConnection): void {
    this.#tell('handlePortalSuspended', connection)
  }
  handleEmptyQuery(connection: WireConnection): void {
    this.#tell('handleEmptyQuery', connection)
  }
  handleCommandComplete(message: unknown, connection: WireConnection): void {
    this.#tell('handleCommandComplete', message, connection)
  }
  handleCopyInResponse(connection: WireConnection): void {
    this.#tell('handleCopyInResponse', connection)
  }
  handleCopyData(message: unknown, connection: WireConnection): void {
    this.#tell('handleCopyData', message, connection)
  }

  #tell(handler: string, ...args: unknown[]): void {
    tell(this.#inner, handler, ...args)
  }
}

function tell(inner: Submittable, handler: string, ...args: unknown[]): void {
  ;(inner as unknown as Readonly<Record<string, Handler | undefined>>)[handler]?.call(inner, ...args)
}

const nothing = (): void => undefined
