import type { Readable } from 'node:stream'
import type { OperationOptions } from './base/limit.js'
import type { BatchResults } from './session/batch.js'
import type { BatchTaskResults, BatchTasks } from './session/batch-together.js'
import type { CopyRows, CopyTarget } from './session/copy/copy-from.js'
import type { CopyOptions } from './session/copy/copy-options.js'
import type { CopyOrigin, CopyToOptions } from './session/copy/copy-to.js'
import type { ListenOptions, NotificationHandler, Subscription } from './session/listen/subscription.js'
import type { Operable } from './session/operations.js'
import type { PooledConnection } from './session/pooled-connection.js'
import type { StreamArguments, StreamOptions } from './session/portal.js'
import type { QueryArguments } from './session/queryable.js'
import type { Sql } from './session/sql/sql-statement.js'
import type { CopyResult } from './wire/copy-in.js'
import type { QueryResult } from './wire/query-result.js'
import type { StatementConfig } from './wire/statement.js'

/** Running statements on the pool, on whatever connection is free, or in the transaction that is open around the call. */
export interface PoolStatements extends Operable {
  /**
   * Runs one statement: inside the transaction that is open around the call, or else in one of its own on whatever
   * connection is free.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const { rows } = await pool.query<{ name: string }>('select name from item where id = $1', [42], { timeoutMs: 500 })
   * console.log(rows[0]?.name)
   * ```
   */
  query<Row>(statement: Sql<Row>, options?: OperationOptions): Promise<QueryResult<Row>>
  query<Row = Record<string, unknown>>(...args: QueryArguments): Promise<QueryResult<Row>>

  /**
   * Runs statements of any kind in one round trip, all or nothing; inside of a transaction they belong to it.
   *
   * @throws BatchError with the index of the statement that failed: nothing of the batch took effect
   * @example
   * ```ts
   * import { createPool, sql } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const [order, , stock] = await pool.batch([
   *   sql<{ id: number }>`insert into purchase (customer) values (${42}) returning id`,
   *   sql`update item set stock = stock - 1 where id = ${7}`,
   *   sql<{ stock: number }>`select stock from item where id = ${7}`,
   * ])
   * console.log(order.rows[0]?.id, stock.rows[0]?.stock)
   * ```
   */
  batch<const Statements extends readonly StatementConfig[]>(
    statements: Statements,
    options?: OperationOptions,
  ): Promise<BatchResults<Statements>>

  /**
   * Runs pieces of work side by side, each of which asks this pool for one statement, by an ORM say, and sends those as
   * one batch: one round trip, all or nothing. Gives what each piece of work gives.
   *
   * @throws BatchError with the index of the one that failed; InvalidOptionError when one does not ask for exactly one
   * statement
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const stockOf = async (id: number) =>
   *   (await pool.query<{ stock: number }>('select stock from item where id = $1', [id])).rows[0]?.stock
   * const [lamp, rope] = await pool.batchTogether([() => stockOf(7), () => stockOf(8)])
   * console.log(lamp, rope)
   * ```
   */
  batchTogether<const Tasks extends BatchTasks>(
    tasks: Tasks,
    options?: OperationOptions,
  ): Promise<BatchTaskResults<Tasks>>

  /**
   * The rows of a statement one by one, fetched in batches as they are asked for. Leaving the loop early frees the
   * connection.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * for await (const row of pool.stream<{ id: number }>('select id from event order by id', [], { batchSize: 500 })) {
   *   console.log(row.id)
   * }
   * ```
   */
  stream<Row>(statement: Sql<Row>, options?: StreamOptions): AsyncGenerator<Row, void, undefined>
  stream<Row = Record<string, unknown>>(...args: StreamArguments): AsyncGenerator<Row, void, undefined>

  /** The same rows in batches of `batchSize`, for code that handles many at a time. */
  streamBatches<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined>

  /**
   * Copies rows into a table with COPY: all of them, or none.
   *
   * @throws what the rows throw, or what the server says; then nothing was copied
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * async function* events() {
   *   for (let id = 1; id <= 100_000; id++) yield [id, { kind: 'seen' }, new Date()]
   * }
   * const { rowCount } = await pool.copyFrom({ table: 'event', columns: ['id', 'body', 'at'] }, events())
   * console.log(rowCount)
   * ```
   */
  copyFrom(target: CopyTarget, rows: CopyRows, options?: CopyOptions): Promise<CopyResult>

  /**
   * The rows of a query or a table as a stream of bytes, in text, csv or binary form.
   *
   * @example
   * ```ts
   * import { createWriteStream } from 'node:fs'
   * import { pipeline } from 'node:stream/promises'
   * import { createPool, sql } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const csv = pool.copyTo(sql`select * from event where id > ${100}`, { format: 'csv', header: true })
   * await pipeline(csv, createWriteStream('events.csv'))
   * ```
   */
  copyTo(origin: CopyOrigin, options?: CopyToOptions): Readable

  /**
   * Calls `handler` for every notification on a channel, until the subscription is ended. All subscriptions of the pool are
   * on one session beside it, which comes back and subscribes again when it is lost; `onGap` then tells that something may
   * have been missed. Never part of a transaction.
   *
   * @throws what keeps it from listening in time
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const refresh = () => pool.query('select id from job where done_at is null')
   * await using jobs = await pool.listen('job', (payload, { pid }) => console.log(payload, pid), { onGap: refresh })
   * console.log(jobs.channels)
   * ```
   */
  listen(
    channels: string | readonly string[],
    handler: NotificationHandler,
    options?: ListenOptions,
  ): Promise<Subscription>

  /** Sends a notification: at once, or when the transaction that is open around the call commits. */
  notify(channel: string, payload?: string, options?: OperationOptions): Promise<void>

  /**
   * A connection of one's own, until it is released. `await using` releases it at the end of the block. It does not
   * take part in a transaction that is open around the call.
   *
   * @throws AcquireTimeoutError when the pool is busy, ServerUnavailableError when the server is down, QueueFullError,
   * SelfDeadlockError, PoolClosedError, OperationAbortedError
   */
  acquire(options?: OperationOptions): Promise<PooledConnection>
}
