import type { Field, ResultInternals, TypeParsers } from './pg-internals.js'
import type { ReaderKeeper } from './row-reader.js'

/** What a statement gave. The same object that `pg` gives. */
export interface QueryResult<Row = Record<string, unknown>> {
  /** The rows, in the order in which the server sent them. */
  readonly rows: Row[]
  /** Rows returned or changed; null for commands that have no such count. */
  readonly rowCount: number | null
  /** The columns. */
  readonly fields: readonly Field[]
  /** The command as the server names it: `SELECT`, `INSERT`, ... */
  readonly command: string
}

/** The columns of a result, and an empty row of it: the same for every run of a prepared statement. */
export interface RowShape extends ReaderKeeper {
  readonly fields: readonly Field[]
  readonly emptyRow: Readonly<Record<string, null>>
}

/** That of a statement that gives no rows. */
export const noColumns: RowShape = { fields: [], emptyRow: {}, reader: undefined }

export function shapeOf(fields: readonly Field[]): RowShape {
  const emptyRow: Record<string, null> = Object.create(null)
  for (const { name } of fields) emptyRow[name] = null
  // Spread once, so that the copies for rows are of one hidden class.
  return { fields, emptyRow: { ...emptyRow }, reader: undefined }
}

/** What `addFields` of a result of `pg` does, without making the empty row anew each time. */
export function applyShape(result: ResultInternals, shape: RowShape, types: TypeParsers): void {
  const { fields } = shape
  if (fields.length === 0) return
  // The caller may change its list of columns, and the parsers of types may change at any time.
  result.fields = fields.slice()
  result._prebuiltEmptyResultObject = shape.emptyRow
  const parsers: ((value: string) => unknown)[] = new Array(fields.length)
  for (let n = 0; n < fields.length; n++) parsers[n] = types.getTypeParser((fields[n] as Field).dataTypeID, 'text')
  result._parsers = parsers
}
