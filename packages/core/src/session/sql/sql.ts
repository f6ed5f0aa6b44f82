import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { quoteIdentifier } from '../../sql/quote-name.js'
import { append, asValue, fromTemplate, Sql } from './sql-statement.js'

/** The template tag `sql`, with the ways to make pieces of SQL that are no values. */
export interface SqlTag {
  /** A statement or a piece of one; what stands in `${}` becomes a parameter, unless it is such a piece itself. */
  <Row = Record<string, unknown>>(template: TemplateStringsArray, ...pieces: readonly unknown[]): Sql<Row>
  /**
   * A name, quoted: `sql.identifier('order')`, `sql.identifier('audit', 'event')`. A dot inside of a part belongs to it.
   *
   * @throws InvalidOptionError for an empty part, or one with a zero byte
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
   * @throws InvalidOptionError when there is no row, when one has another length, or when a value is undefined
   */
  values(rows: Iterable<readonly unknown[]>): Sql
  values<Row extends object>(rows: Iterable<Row>, columns: readonly (keyof Row & string)[]): Sql
  /** Text that becomes SQL as it is. Whoever can choose this text can do anything to the database: never for input. */
  unsafe(text: string): Sql
}

function join(parts: Iterable<unknown>, separator: Sql = comma): Sql {
  if (!(separator instanceof Sql)) {
    throw new InvalidOptionError('separator', `of type ${typeof separator}`, 'a piece of SQL, such as sql` and `')
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
      throw new InvalidOptionError(`row ${number} of sql.values`, `of ${cells.length} values`, allowed)
    }
    strings[strings.length - 1] += number === 1 ? '(' : ', ('
    for (const [index, cell] of cells.entries()) {
      if (index > 0) strings[strings.length - 1] += ', '
      append(cell, () => `${columns?.[index] ?? `value ${index + 1}`} of row ${number} of sql.values`, strings, values)
    }
    strings[strings.length - 1] += ')'
  }
  if (count === 0) throw new InvalidOptionError('sql.values', 'without a row', 'one row or more')
  return new Sql(strings, values)
}

function cellsOf(row: unknown, columns: readonly string[] | undefined, number: number): readonly unknown[] {
  if (columns === undefined && Array.isArray(row)) return row
  if (columns !== undefined && typeof row === 'object' && row !== null && !Array.isArray(row)) {
    return columns.map((column) => (row as Readonly<Record<string, unknown>>)[column])
  }
  const allowed = columns === undefined ? 'an array; objects need the names of their columns' : 'an object'
  throw new InvalidOptionError(`row ${number} of sql.values`, `of type ${typeof row}`, allowed)
}

function json(value: unknown): Sql {
  const where = (): string => 'the value of sql.json'
  return new Sql(['', ''], [asValue(JSON.stringify(asValue(value, where)), where)])
}

function identifier(...parts: readonly string[]): Sql {
  if (parts.length === 0) throw new InvalidOptionError('sql.identifier', 'without a name', 'one part or more')
  return new Sql([parts.map((part) => quoteIdentifier(part)).join('.')], [])
}

function unsafe(text: string): Sql {
  if (typeof text !== 'string') throw new InvalidOptionError('sql.unsafe', `of type ${typeof text}`, 'a text')
  return new Sql([text], [])
}

const comma = new Sql([', '], [])

/**
 * Writes a statement: what stands in `${}` travels as a parameter, apart from the text, and can never become SQL. The
 * result goes to `query`, `stream`, `batch` and `copyTo`.
 *
 * @throws InvalidOptionError when a value is undefined, naming its place; when there are more than 65535 values
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
