import type { Field } from './pg-internals.js'

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
