import { AsyncLocalStorage } from 'node:async_hooks'
import { Readable } from 'node:stream'
import type { ExchangeCommand } from '../connection/command.js'
import { type CopiedQuery, CopyIn, CopyOut, type CopyResult, type CopySource } from '../connection/copy.js'
import { outcomeOf } from '../connection/exchange.js'
import { prepareValue } from '../connection/pg-internals.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline, OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, type OptionNames, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { noop } from '../observe/noop.js'
import { callUser, warnOf } from '../observe/user-callback.js'
import { quoteIdentifier, quoteName } from '../sql/quote.js'
import { endOfPart, replaceInParts } from '../sql/tokens.js'
import { type Bounds, type Executor, withCallersStack } from './queryable.js'
import { Sql } from './sql.js'

/** In which form the data of a COPY is. https://www.postgresql.org/docs/18/sql-copy.html */
export interface CopyFormat {
  /** `text` is PostgreSQL's own, `binary` the most compact, `csv` for others. @default 'text' */
  readonly format?: 'text' | 'csv' | 'binary' | undefined
  /** Whether the first line names the columns. Not with `binary`. @default false */
  readonly header?: boolean | undefined
  /** One character between columns. Not with `binary`. @default a tab in `text`, a comma in `csv` */
  readonly delimiter?: string | undefined
  /** What stands for NULL. Not with `binary`. @default `\N` in `text`, nothing in `csv` */
  readonly null?: string | undefined
  /** One character around values in `csv`. @default '"' */
  readonly quote?: string | undefined
  /** One character before a quote in a value in `csv`. @default the same as `quote` */
  readonly escape?: string | undefined
}

/** The names of these options. */
const formatNames = {
  format: true,
  header: true,
  delimiter: true,
  null: true,
  quote: true,
  escape: true,
} as const

const formats = ['text', 'csv', 'binary']

/** ` with (format csv, ...)`, or nothing when all is as it is by default. */
function formatClause(options: CopyFormat): string {
  const { format = 'text', header } = options
  if (!formats.includes(format))
    throw new InvalidArgumentError('format', JSON.stringify(format), "'text', 'csv' or 'binary'")
  const parts = format === 'text' ? [] : [`format ${format}`]
  if (header !== undefined && typeof header !== 'boolean') {
    throw new InvalidArgumentError('header', JSON.stringify(header), 'true or false')
  }
  if (header === true) parts.push('header true')
  for (const name of ['delimiter', 'null', 'quote', 'escape'] as const) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value !== 'string' || value.includes('\0')) {
      throw new InvalidArgumentError(name, JSON.stringify(value), 'a string without a zero byte')
    }
    parts.push(`${name} ${quoteLiteral(value)}`)
  }
  return parts.length === 0 ? '' : ` with (${parts.join(', ')})`
}

/**
 * A text as a literal, whatever `standard_conforming_strings` and `client_encoding` say: only ASCII goes over the wire. In
 * SJIS, BIG5 or GBK a byte of another character may take the backslash after it for its own second half.
 * https://www.postgresql.org/docs/18/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE
 */
function quoteLiteral(value: string): string {
  const quoted = value.replaceAll("'", "''")
  // As on every other way to the server, half a surrogate pair becomes U+FFFD.
  const escaped = replaceInParts(quoted.toWellFormed(), /[\\\u0080-\u{10ffff}]/gu, escapeOf)
  return escaped === quoted ? `'${quoted}'` : ` E'${escaped}'`
}

function escapeOf(character: string): string {
  if (character === '\\') return '\\\\'
  return `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`
}

/** How far a COPY has come. */
export interface CopyProgress {
  /** Bytes of data so far. */
  readonly bytes: number
  /** Rows so far; of `copyFrom` with bytes, which are not looked into, 0. */
  readonly rows: number
}

/** What can be said about a COPY. */
export interface CopyOptions extends OperationOptions {
  /**
   * Called with how far it is, for every piece that is sent or received. What it throws, or rejects with, becomes a warning
   * of the process, and leaves the COPY alone.
   */
  readonly onProgress?: ((progress: CopyProgress) => unknown) | undefined
}

/**
 * What reports to `onProgress`. It is called while messages of the server are read, and what it throws must not end that:
 * it runs in the context of whoever asked for the COPY, and what goes wrong in it becomes a warning.
 */
function progressReport({ onProgress }: CopyOptions): (bytes: number, rows: number) => void {
  if (onProgress === undefined) return noop
  if (typeof onProgress !== 'function') {
    throw new InvalidArgumentError('onProgress', `of type ${typeof onProgress}`, 'a function')
  }
  const asCaller = AsyncLocalStorage.snapshot()
  const call = (progress: CopyProgress): void => callUser(() => onProgress(progress), warnOfCopy)
  return (bytes, rows) => asCaller(call, { bytes, rows })
}

/** A warning about what a caller of COPY gave. */
function warnOfCopy(error: unknown): void {
  warnOf(error, 'LifeguardCopyWarning')
}

/**
 * A statement with its values written into it as literals, for COPY alone, which takes no parameters. It goes to the
 * server only after a Parse and Bind of the same text with placeholders, which fails where a placeholder is none: inside
 * of quotes or a comment, a literal would mean something else than a value.
 */
function withLiterals(statement: Sql): string {
  // In parentheses, so that nothing in front of it becomes a part of it, as the E of E'...' would.
  return statement.render((value, index) => `(${literalOf(value, index)})`)
}

function literalOf(value: unknown, index: number): string {
  const ready = prepareValue(value)
  if (ready === null || ready === undefined) return 'null'
  const text = ready instanceof Uint8Array ? `\\x${Buffer.from(ready).toString('hex')}` : String(ready)
  if (text.includes('\0')) {
    throw new InvalidArgumentError(
      `value ${index + 1} of the statement`,
      'a string with a zero byte',
      'a string without',
    )
  }
  return quoteLiteral(text)
}

/** What is copied out: the rows of a query, or of a table. */
export type CopyOrigin = StatementConfig | { readonly table: string; readonly columns?: readonly string[] | undefined }

/** In which form data comes out, and how far. */
export interface CopyToOptions extends CopyFormat, CopyOptions {}

const copyToNames = optionNames<CopyToOptions>({ ...formatNames, signal: true, timeoutMs: true, onProgress: true })
const tableNames: OptionNames = new Set(['table', 'columns'])

/** The body of every `copyTo`. The bytes are asked for when the stream is first read. */
export function copyTo(executor: Executor, bounds: Bounds, origin: CopyOrigin, options: CopyToOptions = {}): Readable {
  assertKnownOptions(options, copyToNames)
  const copied = copyToCommand(origin, options)
  const execute = AsyncLocalStorage.bind((command: ExchangeCommand, deadline: Deadline) =>
    executor.execute(command, deadline),
  )
  return new CopyStream(execute, bounds.deadlineFor(options), copied, options)
}

/** What is sent, what is reported of it, and what is checked before. */
interface Copied {
  readonly command: string
  readonly label: string
  readonly checked?: CopiedQuery
}

function copyToCommand(origin: CopyOrigin, options: CopyToOptions): Copied {
  const end = ` to stdout${formatClause(options)}`
  if (typeof origin !== 'object' || origin === null) {
    throw new InvalidArgumentError('what to copy', `of type ${typeof origin}`, "sql`select ...`, or { table: 'name' }")
  }
  if ('table' in origin) {
    assertKnownOptions(origin, tableNames)
    const list = origin.columns === undefined ? '' : ` (${origin.columns.map(quoteIdentifier).join(', ')})`
    const command = `copy ${quoteName(origin.table)}${list}${end}`
    return { command, label: command }
  }
  const { text, values = [] } = origin
  if (typeof text !== 'string') {
    throw new InvalidArgumentError('what to copy', 'without an SQL text', "sql`select ...`, or { table: 'name' }")
  }
  const label = `copy (${text}\n)${end}`
  if (values.length === 0) return { command: label, label }
  if (!(origin instanceof Sql)) {
    throw new InvalidArgumentError(
      'the query',
      'an SQL text with values',
      'sql`select ...`: COPY itself takes no parameters',
    )
  }
  return { command: `copy (${withLiterals(origin)}\n)${end}`, label, checked: { text, values } }
}

/** The bytes of a COPY, as they come; destroying it cancels on the server. */
class CopyStream extends Readable {
  readonly #execute: (command: ExchangeCommand, deadline: Deadline) => Promise<unknown>
  readonly #deadline: Deadline
  readonly #copied: Copied
  readonly #options: CopyToOptions
  readonly #gone = new AbortController()
  #exchange: CopyOut | undefined
  readonly #report: (bytes: number, rows: number) => void
  #running: Promise<void> | undefined

  constructor(
    execute: (command: ExchangeCommand, deadline: Deadline) => Promise<unknown>,
    deadline: Deadline,
    copied: Copied,
    options: CopyToOptions,
  ) {
    super({ highWaterMark: 65_536 })
    this.#execute = execute
    this.#deadline = deadline
    this.#copied = copied
    this.#options = options
    this.#report = progressReport(options)
  }

  override _read(): void {
    if (this.#running === undefined) this.#running = this.#run()
    else this.#exchange?.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#gone.abort()
    // The connection is free again, or on its way to be, when the stream says that it is closed.
    void (this.#running ?? Promise.resolve()).then(() => callback(error))
  }

  async #run(): Promise<void> {
    const lines = this.#options.header === true ? 1 : 0
    const sink = {
      push: (chunk: Buffer) => this.push(chunk),
      progress: (bytes: number, messages: number) => this.#report(bytes, Math.max(0, messages - lines)),
    }
    const command: ExchangeCommand = {
      kind: 'exchange',
      exchange: (preludes) => {
        const { command, label, checked } = this.#copied
        this.#exchange = new CopyOut(command, label, preludes, sink, checked)
        return this.#exchange
      },
    }
    try {
      await this.#execute(command, this.#deadline.and(this.#gone.signal))
      this.push(null)
    } catch (error) {
      // Once the consumer has left, nobody is there to hear it.
      if (!this.destroyed) this.destroy(withCallersStack(error) as Error)
    }
  }
}

/** Rows as arrays in the order of the columns, or as objects; or bytes that are in the form of the COPY already. */
export type CopyInput = readonly unknown[] | Readonly<Record<string, unknown>> | Uint8Array | string

/** As many characters of rows are gathered before they are handed on. */
const gathered = 32_768

/**
 * What goes over the wire for these rows, in the text format of COPY, or the bytes as they are.
 *
 * @param columns which fields of an object, and how many values of an array
 * @param takesRows false when the format is one that rows cannot be written in
 */
async function* bytesOf(
  input: Iterable<CopyInput> | AsyncIterable<CopyInput>,
  columns: readonly string[] | undefined,
  takesRows: boolean,
  onRow: () => void,
): AsyncGenerator<Buffer, void, undefined> {
  let lines = ''
  let number = 0
  for await (const one of input) {
    if (one instanceof Uint8Array || typeof one === 'string') {
      if (lines !== '') yield Buffer.from(lines)
      lines = ''
      yield typeof one === 'string' ? Buffer.from(one) : Buffer.from(one.buffer, one.byteOffset, one.byteLength)
      continue
    }
    if (!takesRows) throw new InvalidArgumentError('format', 'not text', "'text' for rows; bytes may be in any format")
    const cells = cellsOf(one, columns, ++number)
    for (let at = 0; at < cells.length; at++) {
      if (at > 0) lines += '\t'
      const cell = cells[at]
      if (cell === undefined) {
        const which = columns?.[at] ?? `value ${at + 1}`
        throw new InvalidArgumentError(`${which} of row ${number}`, 'undefined', 'any other value; null for NULL')
      }
      const value = readyValue(cell)
      if (typeof value === 'string' && value.length <= gathered) lines += escaped(value)
      else if (value === null) lines += '\\N'
      else {
        // A value of megabytes never stands there as a whole a second time.
        for (const piece of piecesOf(value)) {
          lines += piece
          if (lines.length < gathered) continue
          yield Buffer.from(lines)
          lines = ''
        }
      }
    }
    lines += '\n'
    onRow()
    if (lines.length >= gathered) {
      yield Buffer.from(lines)
      lines = ''
    }
  }
  if (lines !== '') yield Buffer.from(lines)
}

function cellsOf(row: unknown, columns: readonly string[] | undefined, number: number): readonly unknown[] {
  if (Array.isArray(row)) {
    if (columns === undefined || row.length === columns.length) return row
    throw new InvalidArgumentError(
      `row ${number}`,
      `of ${row.length} values`,
      `${columns.length}, one for each of columns`,
    )
  }
  if (typeof row !== 'object' || row === null) {
    throw new InvalidArgumentError(`row ${number}`, `of type ${typeof row}`, 'an array, an object, or bytes')
  }
  if (columns === undefined) {
    throw new InvalidArgumentError('columns', 'undefined', 'the names of the columns, when rows are objects')
  }
  return columns.map((column) => (row as Readonly<Record<string, unknown>>)[column])
}

const special = /[\\\n\r\t]/
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A value as text, not escaped yet; or its bytes; null for NULL. */
function readyValue(value: unknown): string | Uint8Array | null {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const ready = prepareValue(value)
  if (ready === null || ready === undefined) return null
  return ready instanceof Uint8Array ? ready : String(ready)
}

/** A value in the text format: https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-FILE-FORMATS */
function escaped(text: string): string {
  return special.test(text) ? text.replace(/[\\\n\r\t]/g, (found) => escapes[found] as string) : text
}

/** The same for a long value, piece by piece, and for bytes. */
function* piecesOf(value: string | Uint8Array): Generator<string, void, undefined> {
  if (typeof value === 'string') {
    for (let from = 0; from < value.length; ) {
      const to = endOfPart(value, from, gathered)
      yield escaped(value.slice(from, to))
      from = to
    }
    return
  }
  // The backslash of bytea's hexadecimal form is one of the value, and so doubled here.
  yield '\\\\x'
  for (let from = 0; from < value.length; from += gathered) {
    const to = Math.min(value.length, from + gathered)
    yield Buffer.from(value.buffer, value.byteOffset + from, to - from).toString('hex')
  }
}

/** Where rows go, and in which form they come. */
export interface CopyTarget extends CopyFormat {
  /** Its name, with a schema in front of a dot where it needs one. */
  readonly table: string
  /** The columns that are given, in this order. @default all of the table, in its order */
  readonly columns?: readonly string[] | undefined
}

/** What `copyFrom` takes: rows, or bytes in the format of the target; a stream, or anything that can be iterated. */
export type CopyRows = Iterable<CopyInput> | AsyncIterable<CopyInput>

const copyFromNames = optionNames<CopyOptions>({ signal: true, timeoutMs: true, onProgress: true })
const targetNames = optionNames<CopyTarget>({ ...formatNames, table: true, columns: true })

/** The body of every `copyFrom`. */
export async function copyFrom(
  executor: Executor,
  bounds: Bounds,
  target: CopyTarget,
  rows: CopyRows,
  options: CopyOptions = {},
): Promise<CopyResult> {
  assertKnownOptions(options, copyFromNames)
  const text = copyFromCommand(target)
  const deadline = bounds.deadlineFor(options)
  const report = progressReport(options)
  const progress = { rows: 0 }
  const source = sourceOf(rows, target, () => {
    progress.rows += 1
  })
  const command: ExchangeCommand = {
    kind: 'exchange',
    exchange: (preludes) => new CopyIn(text, preludes, source, (bytes) => report(bytes, progress.rows)),
  }
  try {
    return outcomeOf<CopyResult>(await executor.execute(command, deadline))
  } catch (error) {
    source.stop()
    throw withCallersStack(error)
  }
}

function copyFromCommand(target: CopyTarget): string {
  if (typeof target !== 'object' || target === null || typeof target.table !== 'string') {
    throw new InvalidArgumentError('the target', `of type ${typeof target}`, "{ table: 'name', columns: ['a', 'b'] }")
  }
  assertKnownOptions(target, targetNames)
  const { table, columns } = target
  if (columns !== undefined && !(Array.isArray(columns) && columns.length > 0)) {
    throw new InvalidArgumentError('columns', JSON.stringify(columns), 'an array of one name or more')
  }
  const list = columns === undefined ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
  return `copy ${quoteName(table)}${list} from stdin${formatClause(target)}`
}

function sourceOf(rows: CopyRows, target: CopyTarget, onRow: () => void): CopySource {
  if (typeof rows !== 'object' || rows === null || !(Symbol.asyncIterator in rows || Symbol.iterator in rows)) {
    throw new InvalidArgumentError(
      'rows',
      `of type ${typeof rows}`,
      'a stream, an array, or anything that can be iterated',
    )
  }
  const { format = 'text', columns } = target
  const hasOwnForm = target.header === true || target.delimiter !== undefined || target.null !== undefined
  const bytes = bytesOf(rows, columns, format === 'text' && !hasOwnForm, onRow)
  // The source is the caller's code: it runs as if the caller had called it, and not the socket.
  const asCaller = AsyncLocalStorage.snapshot()
  let isStopped = false
  return {
    next: () => asCaller(() => bytes.next()),
    stop: () => {
      if (isStopped) return
      isStopped = true
      asCaller(() => {
        bytes.return().catch(warnOfCopy)
        // A stream that nobody has begun to read is closed by nobody else.
        callUser(() => {
          if ('destroy' in rows && typeof rows.destroy === 'function') rows.destroy()
        }, warnOfCopy)
      })
    },
  }
}
