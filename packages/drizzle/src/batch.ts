import { InvalidArgumentError, type OperationOptions } from '@pg-lifeguard/core'
import { type AnyDatabase, isOfAnother, poolOf } from './pool-of.js'

/** A query of Drizzle's that has been built and not yet awaited. */
export type Batched = PromiseLike<unknown>

/** What each query of a batch gives when it is awaited. */
export type BatchedResults<Queries extends readonly Batched[]> = {
  -readonly [Index in keyof Queries]: Awaited<Queries[Index]>
}

/**
 * Runs queries of any kind in ONE round trip, all or nothing: outside of a transaction they are one of their own, inside
 * of `withTransaction` they belong to it. They run in order; none sees what another one returned.
 *
 * @throws BatchError with the index of the query that failed; as `pool.batch` for everything else
 * @example
 * ```ts
 * import { batch, createPool, drizzle } from '@pg-lifeguard/drizzle'
 * import { eq, sql } from 'drizzle-orm'
 * import { integer, pgTable } from 'drizzle-orm/pg-core'
 *
 * const item = pgTable('item', { id: integer('id').primaryKey(), stock: integer('stock').notNull() })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * const [, left] = await batch(db, [
 *   db.update(item).set({ stock: sql`${item.stock} - 1` }).where(eq(item.id, 7)),
 *   db.select({ stock: item.stock }).from(item).where(eq(item.id, 7)),
 * ])
 * console.log(left[0]?.stock)
 * ```
 */
export async function batch<DB extends AnyDatabase, const Queries extends readonly Batched[]>(
  db: DB,
  queries: Queries,
  options?: OperationOptions,
): Promise<BatchedResults<Queries>> {
  const strange = queries.findIndex((query) => typeof query?.then !== 'function' || query instanceof Promise)
  if (strange !== -1) {
    const allowed = 'a query of Drizzle that is not awaited yet'
    throw new InvalidArgumentError(`query ${strange} of the batch`, 'not a query that can still be run', allowed)
  }
  const pool = poolOf(db)
  // None may run before it is known that all of them can be one.
  const foreign = queries.findIndex((query) => isOfAnother(pool, query))
  if (foreign !== -1) {
    const allowed = 'queries of one database, made with drizzle(pool), or with the tx of withTransaction'
    throw new InvalidArgumentError(`query ${foreign} of the batch`, 'of another pool or transaction', allowed)
  }
  const tasks = queries.map((query) => async () => await query)
  return (await pool.batchTogether(tasks, options)) as BatchedResults<Queries>
}
