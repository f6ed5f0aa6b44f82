import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import pg from 'pg'
import utils from 'pg/lib/utils.js'

/**
 * The parts of `pg` that we use and that its types do not show. They are the same in every 8.x since 8.11; a test
 * holds them against the installed version, so that a change there is seen at once.
 */

/** `pg`'s protocol connection, as a Submittable sees it. */
export interface WireConnection extends EventEmitter {
  readonly stream: Duplex
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(message: { readonly text: string; readonly name?: string | undefined }): void
  bind(message: {
    readonly portal?: string | undefined
    readonly statement?: string | undefined
    readonly values?: readonly unknown[] | undefined
    readonly valueMapper?: ((value: unknown, index: number) => unknown) | undefined
  }): void
  describe(message: { readonly type: 'P' | 'S'; readonly name: string }): void
  execute(message: { readonly portal?: string; readonly rows?: number }): void
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
  /** Terminate, after whatever was written, and the end of our side of the socket. */
  end(): void
  sync(): void
  query(text: string): void
  sendCopyFail(message: string): void
  endCopyFrom(): void
  /** Called once with the socket, or that of TLS: puts a parser there. */
  attachListeners(stream: Duplex): void
  /** Whether anybody listens for every message. */
  readonly _emitMessage: boolean
}

/** `pg.Client` with its private side. */
export interface ClientInternals {
  readonly connection: WireConnection
  readonly processID: number | null
  readonly secretKey: number | null
  readonly host: string
  readonly port: number
  readonly ssl: unknown
  readonly sslNegotiation: string
  /** Its SCRAM exchange: null again once the server's signature has been verified. */
  readonly saslSession?: { readonly mechanism: string; readonly message: string } | null
  /** Its parsers of values: those of its configuration before those of `pg.types`. */
  readonly _types: TypeParsers
}

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

/** Answers of the server, as `pg` parses them. */
export interface CommandCompleteMessage {
  readonly text: string
}

export interface RowDescriptionMessage {
  readonly fields: readonly Field[]
}
export interface DataRowMessage {
  readonly fields: readonly (string | null)[]
}

/** The result that `pg` builds while rows come in. */
export interface ResultInternals {
  /** Where its parsers come from; `pg` gives the ones of the client to a query that it sends. */
  _types: TypeParsers | undefined
  command: string | null
  rowCount: number | null
  oid: number | null
  _parsers: ((value: string) => unknown)[] | undefined
  _prebuiltEmptyResultObject: Readonly<Record<string, null>> | null
  /** Whether its rows are arrays. */
  readonly rowAsArray: boolean
  readonly rows: unknown[]
  fields: readonly Field[]
  addFields(fields: readonly Field[]): void
  addCommandComplete(message: CommandCompleteMessage): void
  parseRow(fields: readonly (string | null)[]): unknown
}

/** A column of a result. */
export interface Field {
  readonly name: string
  readonly tableID: number
  readonly columnID: number
  readonly dataTypeID: number
  readonly dataTypeSize: number
  readonly dataTypeModifier: number
  readonly format: string
}

/** `pg.Result` with its private side. */
export const ResultBase = (pg as unknown as { readonly Result: unknown }).Result as new (
  rowMode?: 'array' | undefined,
  types?: TypeParsers | undefined,
) => ResultInternals

/** What `pg` makes of a value before it is sent: text, bytes or null. */
export const prepareValue: (value: unknown) => unknown = utils.prepareValue

/** `pg.Connection` with its private side: used for cancel requests alone. */
export const ConnectionBase = pg.Connection as unknown as new (config: {
  readonly ssl: unknown
  readonly sslNegotiation: string
  readonly keepAlive: boolean
}) => WireConnection

/** Finds the function that turns a value of a type, as sent by the server, into a JavaScript value. */
export interface TypeParsers {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown
}

/** What `pg` makes of values before they are sent. */
export function prepared(values: readonly unknown[] | undefined): unknown[] {
  return values === undefined ? [] : values.map((value) => prepareValue(value))
}
