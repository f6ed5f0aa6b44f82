import type { QueryResult as CoreResult, OperationOptions } from '@pg-lifeguard/core'
import {
  type Compilable,
  type CompiledQuery,
  DeleteResult,
  type InferResult,
  InsertResult,
  MergeResult,
  type QueryResult,
  type RawBuilder,
  type UnknownRow,
  UpdateResult,
} from 'kysely'
import { LifeguardConnection } from './lifeguard-connection.js'
import { type AnyKysely, poolOf } from './pool-of.js'

/** A query that is built, or written with Kysely's `sql`. */
export type Batched = Compilable | RawBuilder<unknown>

/** What each query of a batch gives: what its `execute()` would; the rows of one written with `sql`. */
export type BatchedResults<Queries extends readonly Batched[]> = {
  -readonly [Index in keyof Queries]: Queries[Index] extends RawBuilder<infer Row>
    ? Row[]
    : Queries[Index] extends Compilable
      ? InferResult<Queries[Index]>
      : never
}

/**
 * Runs queries of any kind in ONE round trip, all or nothing: outside of a transaction they are one of their own, inside
 * of one they belong to it. They run in order; none sees what another one returned. What their results go through are
 * the plugins of `db`; Kysely's `log` hears nothing of them.
 *
 * @throws BatchError with the index of the query that failed; as `pool.batch` for everything else
 * @example
 * ```ts
 * import { batch, createPool, LifeguardDialect } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   item: { id: number; stock: number }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * const [, left] = await batch(db, [
 *   db.updateTable('item').set((eb) => ({ stock: eb('stock', '-', 1) })).where('id', '=', 7),
 *   db.selectFrom('item').select('stock').where('id', '=', 7),
 * ])
 * console.log(left[0]?.stock)
 * ```
 */
export async function batch<const Queries extends readonly Batched[]>(
  db: AnyKysely,
  queries: Queries,
  options?: OperationOptions,
): Promise<BatchedResults<Queries>> {
  // What is written with `sql` has no executor of its own; a built query looks at no argument.
  const compiled = queries.map((query): CompiledQuery => query.compile(db))
  const statements = compiled.map(({ sql, parameters }) => ({ text: sql, values: parameters }))
  // A transaction of Kysely's own is not ambient: the batch belongs to the connection of `db` then.
  const results = await db
    .getExecutor()
    .provideConnection((connection) =>
      connection instanceof LifeguardConnection
        ? connection.batch(statements, options)
        : poolOf(db).batch(statements, options),
    )
  const { plugins } = db.getExecutor()
  const rows = compiled.map(async (query, index) => {
    const result = results[index]
    if (result === undefined) throw new Error('bug: a statement of a batch without a result')
    const counted = countedResult(query, result)
    if (counted !== undefined) return counted
    let transformed: QueryResult<UnknownRow> = { rows: result.rows }
    for (const plugin of plugins) {
      transformed = await plugin.transformResult({ result: transformed, queryId: query.queryId })
    }
    return transformed.rows
  })
  return (await Promise.all(rows)) as BatchedResults<Queries>
}

/** What Kysely gives for a query that returns no rows. */
function countedResult({ query }: CompiledQuery, { rowCount }: CoreResult): readonly object[] | undefined {
  if ('returning' in query && query.returning !== undefined) return undefined
  const changed = BigInt(rowCount ?? 0)
  switch (query.kind) {
    case 'InsertQueryNode':
      return [new InsertResult(undefined, changed)]
    case 'UpdateQueryNode':
      return [new UpdateResult(changed, undefined)]
    case 'DeleteQueryNode':
      return [new DeleteResult(changed)]
    case 'MergeQueryNode':
      return [new MergeResult(changed)]
    default:
      return undefined
  }
}
