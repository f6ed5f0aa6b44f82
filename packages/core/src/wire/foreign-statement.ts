import type { WireConnection } from './pg-internals.js'
import type { QueryResult, StatementConfig } from './statement.js'

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

/** Somebody's Submittable on its way over a connection: what the connection needs to know of it is kept beside it. */
export class ForeignStatement {
  readonly #inner: Submittable
  #connection: WireConnection | undefined
  sent = false
  failure: Error | undefined
  onUnsent: ((error: Error) => void) | undefined
  callback: unknown = nothing

  constructor(inner: Submittable) {
    this.#inner = inner
  }

  /** There is none: who made the Submittable has it from there. */
  get result(): QueryResult {
    return { rows: [], rowCount: null, fields: [], command: '' }
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
    this.#connection = connection
    const refused = this.#inner.submit(connection as never)
    if (refused instanceof Error) this.sent = false
    return refused
  }

  /** To be called when it has failed: tells it what it would not hear otherwise, so that nobody waits for it for ever. */
  failed(error: unknown, isLost: boolean): void {
    if (!this.sent && this.failure === undefined) this.#tell('handleError', error)
    const connection = this.#connection
    // Cursors wait for this answer also when no answer can come any more, and streams over them do not end until then.
    if (isLost && connection !== undefined) process.nextTick(() => connection.emit('readyForQuery', { status: 'I' }))
  }

  handleError(error: Error, connection: WireConnection): void {
    this.failure ??= error
    this.#tell('handleError', error, connection)
    if (!this.sent) this.onUnsent?.(error)
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
    const inner = this.#inner as unknown as Readonly<Record<string, Handler | undefined>>
    inner[handler]?.call(inner, ...args)
  }
}

const nothing = (): void => undefined
