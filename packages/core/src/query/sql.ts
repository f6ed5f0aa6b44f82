import type { StatementConfig } from '../connection/statement.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { quoteIdentifier } from '../sql/quote.js'

/**
 * The count of parameters is a 16-bit number in the protocol.
 * https://www.postgresql.org/docs/18/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-BIND
 */
export const mostParameters = 65_535

/** Texts of templates that no other piece of SQL is nested in: made once for each place in the source. */
const texts = new WeakMap<readonly string[], string>()

/**
 * A statement, or a piece of one, that was written with `sql`: text with placeholders, and the values apart from it.
 * It never changes, so that it may be kept, nested and run as often as one likes.
 *
 * @typeParam Row the type of a row that the statement gives; a claim by its author that nothing checks
 */
export class Sql<out Row = Record<string, unknown>> implements StatementConfig {
  /** SQL with `$1`, `$2`, ... where the values go. */
  readonly text: string
  /** One for each placeholder. */
  readonly values: readonly unknown[]
  /** Never there: it carries the type of a row to `query`, `stream` and `batch`. */
  declare readonly rowType?: () => Row
  /** What stands before, between and after the values: one more than there are values. */
  readonly #strings: readonly string[]

  /** @internal use the `sql` template */
  constructor(strings: readonly string[], values: readonly unknown[], text: string = numbered(strings)) {
    if (values.length > mostParameters) {
      throw new InvalidArgumentError(
        'the statement',
        `with ${values.length} values`,
        `up to ${mostParameters} in one statement; pass an array as one value (= any(...), unnest(...)), or use copyFrom`,
      )
    }
    this.#strings = strings
    this.values = Object.freeze(values)
    this.text = text
    Object.freeze(this)
  }

  /** Puts this piece after what is there already: the texts grow together, the values follow. @internal */
  appendTo(strings: string[], values: unknown[]): void {
    const [first = '', ...rest] = this.#strings
    strings[strings.length - 1] += first
    for (const string of rest) strings.push(string)
    for (const value of this.values) values.push(value)
  }

  /** The text with something else in the place of each placeholder. @internal */
  render(value: (value: unknown, index: number) => string): string {
    let text = this.#strings[0] ?? ''
    for (const [index, one] of this.values.entries()) text += `${value(one, index)}${this.#strings[index + 1]}`
    return text
  }
}

/** What may stand in a template: another piece of SQL, or a value, which becomes a parameter. */
function append(piece: unknown, where: () => string, strings: string[], values: unknown[]): void {
  if (piece instanceof Sql) {
    piece.appendTo(strings, values)
    return
  }
  values.push(asValue(piece, where))
  strings.push('')
}

/** A value that can be a parameter. `undefined` is nearly always a mistake: of a name, or of an `await` left out. */
function asValue(value: unknown, where: () => string): unknown {
  if (value === undefined) {
    throw new InvalidArgumentError(where(), 'undefined', 'any other value; null for NULL, sql`default` for the default')
  }
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidArgumentError(where(), `a ${typeof value}`, 'a value that can be sent to the server')
  }
  return value
}

/** The body of the template. */
function fromTemplate<Row>(template: TemplateStringsArray, pieces: readonly unknown[]): Sql<Row> {
  if (!isTemplate(template) || template.length !== pieces.length + 1) {
    throw new InvalidArgumentError(
      'sql',
      'called as a function',
      'a template: sql`select ...`; sql.unsafe(text) for text',
    )
  }
  for (const [index, string] of template.entries()) {
    if (string !== undefined) continue
    const raw = JSON.stringify(template.raw[index])
    throw new InvalidArgumentError('the template', `with an invalid escape in ${raw}`, 'two backslashes for one')
  }
  const where = (index: number) => () => placeOf(template, index)
  if (!pieces.some((piece) => piece instanceof Sql)) {
    const values = pieces.map((piece, index) => asValue(piece, where(index)))
    let text = texts.get(template)
    if (text === undefined) {
      text = numbered(template)
      texts.set(template, text)
    }
    return new Sql<Row>(template, values, text)
  }
  const strings: string[] = [template[0] as string]
  const values: unknown[] = []
  for (const [index, piece] of pieces.entries()) {
    append(piece, where(index), strings, values)
    strings[strings.length - 1] += template[index + 1] ?? ''
  }
  return new Sql<Row>(strings, values)
}

/**
 * Whether the language, or a compiler in its place, has made it. A plain array may be anybody's, such as the body of a
 * request: what stands in it would become SQL, also with a `raw` that was put on it.
 * https://tc39.es/ecma262/#sec-gettemplateobject
 */
function isTemplate(given: unknown): given is TemplateStringsArray {
  if (!Array.isArray(given) || !Object.isFrozen(given)) return false
  const { enumerable, value: raw }: PropertyDescriptor = Object.getOwnPropertyDescriptor(given, 'raw') ?? {}
  return enumerable === false && Array.isArray(raw) && raw.length === given.length && Object.isFrozen(raw)
}

/** Says which value is meant by its number and by what is written before it; never the value itself. */
function placeOf(template: TemplateStringsArray, index: number): string {
  const before = (template[index] ?? '').trimEnd().slice(-30).trimStart()
  return `value ${index + 1} of the statement (behind ${JSON.stringify(before)})`
}

function numbered(strings: readonly string[]): string {
  let text = strings[0] ?? ''
  for (let at = 1; at < strings.length; at++) text += `$${at}${strings[at]}`
  return text
}

/** The template tag `sql`, with the ways to make pieces of SQL that are no values. */
export interface SqlTag {
  /** A statement or a piece of one; what stands in `${}` becomes a parameter, unless it is such a piece itself. */
  <Row = Record<string, unknown>>(template: TemplateStringsArray, ...pieces: readonly unknown[]): Sql<Row>
  /**
   * A name, quoted: `sql.identifier('order')`, `sql.identifier('audit', 'event')`. A dot inside of a part belongs to it.
   *
   * @throws InvalidArgumentError for an empty part, or one with a zero byte
   */
  identifier(...parts: readonly string[]): Sql
  /** The same as the tag itself, for readers: a piece that only makes sense inside of another one. */
  fragment(template: TemplateStringsArray, ...pieces: readonly unknown[]): Sql
  /** Pieces or values one after the other, with `separator` in between. @default separator: sql`, ` */
  join(parts: Iterable<unknown>, separator?: Sql): Sql
  /**
   * `($1, $2, $3)`, for `in`. An empty list becomes `(null)`: nothing is in it, nor is anything not in it. For many values
   * `= any(${array})` is better: one parameter, and one text for every length.
   */
  list(values: Iterable<unknown>): Sql
  /** One parameter that holds the value as JSON text: also arrays, strings and null, which would else be taken for SQL's. */
  json(value: unknown): Sql
  /**
   * `($1, $2), ($3, $4)`, for an insert of several rows. Rows are arrays of one length, or objects from which `columns`
   * picks.
   *
   * @throws InvalidArgumentError when there is no row, when one has another length, or when a value is undefined
   */
  values(rows: Iterable<readonly unknown[]>): Sql
  values<Row extends object>(rows: Iterable<Row>, columns: readonly (keyof Row & string)[]): Sql
  /** Text that becomes SQL as it is. Whoever can choose this text can do anything to the database: never for input. */
  unsafe(text: string): Sql
}

function join(parts: Iterable<unknown>, separator: Sql = comma): Sql {
  if (!(separator instanceof Sql)) {
    throw new InvalidArgumentError('separator', `of type ${typeof separator}`, 'a piece of SQL, such as sql` and `')
  }
  const strings = ['']
  const values: unknown[] = []
  let count = 0
  for (const part of parts) {
    if (count > 0) separator.appendTo(strings, values)
    const index = count++
    append(part, () => `part ${index + 1} of sql.join`, strings, values)
  }
  return new Sql(strings, values)
}

function list(items: Iterable<unknown>): Sql {
  const strings = ['(']
  const values: unknown[] = []
  let count = 0
  for (const item of items) {
    if (count > 0) strings[strings.length - 1] += ', '
    const index = count++
    append(item, () => `value ${index + 1} of sql.list`, strings, values)
  }
  strings[strings.length - 1] += count === 0 ? 'null)' : ')'
  return new Sql(strings, values)
}

function rowsOfValues(rows: Iterable<readonly unknown[] | object>, columns?: readonly string[]): Sql {
  const strings = ['']
  const values: unknown[] = []
  let count = 0
  let width: number | undefined
  for (const row of rows) {
    const number = ++count
    const cells = cellsOf(row, columns, number)
    width ??= cells.length
    if (cells.length !== width || width === 0) {
      const allowed = width === 0 ? 'one value or more' : `${width}, as in the first row`
      throw new InvalidArgumentError(`row ${number} of sql.values`, `of ${cells.length} values`, allowed)
    }
    strings[strings.length - 1] += number === 1 ? '(' : ', ('
    for (const [index, cell] of cells.entries()) {
      if (index > 0) strings[strings.length - 1] += ', '
      append(cell, () => `${columns?.[index] ?? `value ${index + 1}`} of row ${number} of sql.values`, strings, values)
    }
    strings[strings.length - 1] += ')'
  }
  if (count === 0) throw new InvalidArgumentError('sql.values', 'without a row', 'one row or more')
  return new Sql(strings, values)
}

function cellsOf(row: unknown, columns: readonly string[] | undefined, number: number): readonly unknown[] {
  if (columns === undefined && Array.isArray(row)) return row
  if (columns !== undefined && typeof row === 'object' && row !== null && !Array.isArray(row)) {
    return columns.map((column) => (row as Readonly<Record<string, unknown>>)[column])
  }
  const allowed = columns === undefined ? 'an array; objects need the names of their columns' : 'an object'
  throw new InvalidArgumentError(`row ${number} of sql.values`, `of type ${typeof row}`, allowed)
}

function json(value: unknown): Sql {
  const where = (): string => 'the value of sql.json'
  return new Sql(['', ''], [asValue(JSON.stringify(asValue(value, where)), where)])
}

function identifier(...parts: readonly string[]): Sql {
  if (parts.length === 0) throw new InvalidArgumentError('sql.identifier', 'without a name', 'one part or more')
  return new Sql([parts.map((part) => quoteIdentifier(part)).join('.')], [])
}

function unsafe(text: string): Sql {
  if (typeof text !== 'string') throw new InvalidArgumentError('sql.unsafe', `of type ${typeof text}`, 'a string')
  return new Sql([text], [])
}

const comma = new Sql([', '], [])

/**
 * Writes a statement: what stands in `${}` travels as a parameter, apart from the text, and can never become SQL. The
 * result goes to `query`, `stream`, `batch` and `copyTo`.
 *
 * @throws InvalidArgumentError when a value is undefined, naming its place; when there are more than 65535 values
 * @example
 * ```ts
 * import { createPool, sql } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const states = ['new', 'paid']
 * const recent = sql`created_at > now() - ${'1 day'}::interval`
 * const { rows } = await pool.query(
 *   sql<{ id: number }>`select id from ${sql.identifier('order')} where state = any(${states}) and ${recent}`,
 * )
 * console.log(rows[0]?.id)
 * ```
 */
export const sql: SqlTag = Object.freeze(
  Object.assign(
    <Row>(template: TemplateStringsArray, ...pieces: readonly unknown[]): Sql<Row> =>
      fromTemplate<Row>(template, pieces),
    {
      fragment: (template: TemplateStringsArray, ...pieces: readonly unknown[]): Sql => fromTemplate(template, pieces),
      identifier,
      join,
      list,
      json,
      values: rowsOfValues,
      unsafe,
    },
  ),
)
