import {
  BrokenRow,
  binaryReader,
  type ColumnReader,
  columnReader,
  isShared,
  type ValueParser,
} from './column-readers.js'
import type { Field, ResultInternals } from './pg-internals.js'

/**
 * Reads a row out of the body of a DataRow, which begins at `at` and ends at `stop`; the bytes are those of a chunk of the
 * socket, which may hold more.
 *
 * @throws ProtocolViolationError when it is not one of so many columns; whatever a parser throws
 */
export type RowReader = (bytes: Buffer, at: number, stop: number) => unknown

/** What rows are made of: the names of the columns, or undefined for arrays, and what reads each of them. */
interface RowPlan {
  readonly names: readonly string[] | undefined
  readonly readers: readonly ColumnReader[]
}

/** A row has other columns than were announced. */
export function miscounted(): BrokenRow {
  return new BrokenRow('a row of other columns than it had announced')
}

function malformed(): BrokenRow {
  return new BrokenRow('a row that is longer or shorter than it says')
}

const none = -1

/** Reads the length of a value; `none` for null. */
function lengthAt(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

/** For the first rows of a shape, and where code may not be made of text. */
function interpreted({ names, readers }: RowPlan, emptyRow: Readonly<Record<string, null>>): RowReader {
  const count = readers.length
  return (bytes, at, stop) => {
    if ((((bytes[at] as number) << 8) | (bytes[at + 1] as number)) !== count || at + 2 > stop) throw miscounted()
    const row = (names === undefined ? new Array(count) : { ...emptyRow }) as Record<string | number, unknown>
    let n = at + 2
    for (let column = 0; column < count; column++) {
      const length = lengthAt(bytes, n)
      n += 4
      const end = n + length
      let value: unknown = null
      if (length >= 0) {
        if (end > stop) throw malformed()
        value = (readers[column] as ColumnReader)(bytes, n, end)
        n = end
      } else if (length !== none) throw malformed()
      row[names === undefined ? column : (names[column] as string)] = value
    }
    if (n !== stop) throw malformed()
    return row
  }
}

/** With more columns the code would be long, and its rows no longer of one form for the engine. */
const mostColumns = 200

/**
 * Code for one list of names, for all who read such rows: what reads a value comes in as an argument. A row is made by one
 * object literal, so that all of them are of one form. The names are those that the server gave, anybody's: each is in it as
 * a JSON string, which JavaScript reads as the same string, whatever is in it.
 */
function codeFor(names: readonly string[] | undefined, count: number): string {
  const columns = Array.from({ length: count }, (_, n) => n)
  const lines = [
    'return (b, at, stop) => {',
    `if (((b[at] << 8) | b[at + 1]) !== ${count} || at + 2 > stop) throw miscounted()`,
    'let n = at + 2, length = 0, end = 0',
  ]
  for (const n of columns) {
    lines.push(
      `let v${n} = null`,
      'length = (b[n] << 24) | (b[n + 1] << 16) | (b[n + 2] << 8) | b[n + 3]',
      'n += 4',
      'if (length >= 0) {',
      'end = n + length',
      'if (end > stop) throw malformed()',
      `v${n} = r${n}(b, n, end)`,
      'n = end',
      '} else if (length !== -1) throw malformed()',
    )
  }
  lines.push('if (n !== stop) throw malformed()')
  const values = columns.map((n) => (names === undefined ? `v${n}` : `${keyOf(names[n] as string)}: v${n}`))
  lines.push(names === undefined ? `return [${values.join(', ')}]` : `return { ${values.join(', ')} }`, '}')
  return lines.join('\n')
}

/** In a literal, the prototype of an object has a key of its own. */
function keyOf(name: string): string {
  return name === '__proto__' ? `['__proto__']` : JSON.stringify(name)
}

type Factory = (...readers: readonly unknown[]) => RowReader

/** Whether code may be made of text here: https://nodejs.org/api/cli.html#--disallow-code-generation-from-strings */
function mayCompile(): boolean {
  try {
    return new Function('return true')() === true
  } catch {
    // It may not, and that is all that was asked.
    return false
  }
}

const canCompile = mayCompile()

function factoryFor(names: readonly string[] | undefined, count: number): Factory {
  const parameters = Array.from({ length: count }, (_, n) => `r${n}`)
  return new Function('miscounted', 'malformed', ...parameters, codeFor(names, count)) as Factory
}

/** Readers by the names and parsers that they are for; bounded: what is not used for long is made anew. */
const mostShapes = 500
const compiled = new Map<string, RowReader>()
const readerIds = new WeakMap<ColumnReader, number>()
let readersSeen = 0

function idOf(reader: ColumnReader): number {
  let id = readerIds.get(reader)
  if (id === undefined) {
    id = ++readersSeen
    readerIds.set(reader, id)
  }
  return id
}

function compile({ names, readers }: RowPlan): RowReader {
  const make = (): RowReader => factoryFor(names, readers.length)(miscounted, malformed, ...readers)
  // What a user's own parser is made for may be a single statement.
  if (!readers.every(isShared)) return make()
  const key = `${readers.map(idOf).join()} ${names === undefined ? '' : JSON.stringify(names)}`
  const known = compiled.get(key)
  if (known !== undefined) return known
  const reader = make()
  compiled.set(key, reader)
  if (compiled.size > mostShapes) compiled.delete(compiled.keys().next().value as string)
  return reader
}

/** So many rows are read before it is worth to compile what reads them. */
const rowsBefore = 64

/** Reads the rows of one list of columns with the same parsers: those of one run, or of all. */
export class ShapeReader {
  readonly #parsers: readonly ValueParser[]
  readonly #isArray: boolean
  readonly #plan: RowPlan
  #left: number
  #read: RowReader
  /** In which form its columns have to be asked for, as the end of a Bind; undefined for text. */
  readonly formats: Buffer | undefined

  /** @param mayChoose whether the form of each column has still to be asked for */
  constructor(result: ResultInternals, mayChoose: boolean) {
    const { fields, _parsers: parsers = [], rowAsArray, _prebuiltEmptyResultObject: emptyRow } = result
    this.#parsers = parsers
    this.#isArray = rowAsArray
    const binary = fields.map(({ dataTypeID }, n) =>
      mayChoose ? binaryReader(dataTypeID, parsers[n] as ValueParser) : undefined,
    )
    this.#plan = {
      names: rowAsArray ? undefined : fields.map(({ name }) => name),
      readers: parsers.map((parser, n) => binary[n] ?? columnReader(parser)),
    }
    if (binary.some((reader) => reader !== undefined)) this.formats = formatsOf(binary)
    this.#read = interpreted(this.#plan, emptyRow ?? {})
    this.#left = canCompile && parsers.length <= mostColumns ? rowsBefore : Number.POSITIVE_INFINITY
  }

  /** See {@link RowReader}. */
  read(bytes: Buffer, at: number, stop: number): unknown {
    if (this.#left > 0) {
      this.#left -= 1
      if (this.#left === 0) this.#read = compile(this.#plan)
    }
    return this.#read(bytes, at, stop)
  }

  /** Whether it reads with these parsers, in this mode. */
  isFor(parsers: readonly ValueParser[], isArray: boolean): boolean {
    const own = this.#parsers
    if (this.#isArray !== isArray || own.length !== parsers.length) return false
    for (let n = 0; n < own.length; n++) if (own[n] !== parsers[n]) return false
    return true
  }
}

/** The codes of formats as a Bind has them. https://www.postgresql.org/docs/18/protocol-message-formats.html */
function formatsOf(binary: readonly unknown[]): Buffer {
  const codes = Buffer.alloc(2 + binary.length * 2)
  codes.writeInt16BE(binary.length)
  for (let n = 0; n < binary.length; n++) if (binary[n] !== undefined) codes[3 + n * 2] = 1
  return codes
}

/** Keeps what has read the rows of a list of columns last, for the next run. */
export interface ReaderKeeper {
  reader: ShapeReader | undefined
}

/**
 * What reads the rows of a result, whose columns are known: that of the run before, if the parsers of types are still the
 * same. `mayChoose`: it is asked before the rows are, and says in which form they are wanted. Undefined for rows that `pg` reads: those of a cursor that was declared BINARY.
 */
export function readerFor(
  result: ResultInternals,
  keeper: ReaderKeeper | undefined,
  mayChoose = false,
): ShapeReader | undefined {
  const { fields, _parsers: parsers = [], rowAsArray } = result
  const kept = keeper?.reader
  if (kept?.isFor(parsers, rowAsArray) === true) return kept
  for (let n = 0; n < fields.length; n++) if ((fields[n] as Field).format === 'binary') return undefined
  const reader = new ShapeReader(result, mayChoose)
  if (keeper !== undefined) keeper.reader = reader
  return reader
}
