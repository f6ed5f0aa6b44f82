import { endOfPart } from '../../base/replace-in-parts.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { prepareValue } from '../../wire/pg-internals.js'

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
export async function* bytesOf(
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
    if (!takesRows) throw new InvalidOptionError('format', 'not text', "'text' for rows; bytes may be in any format")
    const cells = cellsOf(one, columns, ++number)
    for (let at = 0; at < cells.length; at++) {
      if (at > 0) lines += '\t'
      const cell = cells[at]
      if (cell === undefined) {
        const which = columns?.[at] ?? `value ${at + 1}`
        throw new InvalidOptionError(`${which} of row ${number}`, 'undefined', 'any other value; null for NULL')
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
    throw new InvalidOptionError(
      `row ${number}`,
      `of ${row.length} values`,
      `${columns.length}, one for each of columns`,
    )
  }
  if (typeof row !== 'object' || row === null) {
    throw new InvalidOptionError(`row ${number}`, `of type ${typeof row}`, 'an array, an object, or bytes')
  }
  if (columns === undefined) {
    throw new InvalidOptionError('columns', 'undefined', 'the names of the columns, when rows are objects')
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
