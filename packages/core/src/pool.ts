import type { Readable } from 'node:stream'
import type { Limit, OperationOptions } from './base/limit.js'
import type { ClusterEvents, HostStats } from './cluster/cluster-events.js'
import type { Asking } from './cluster/cluster-parts.js'
import { isReadOnlyText } from './cluster/read-rule.js'
import { within } from './errors/given-up.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { operationLimit } from './errors/operation-limit.js'
import { PoolClosedError } from './errors/pool-errors.js'
import type { BreakerStats } from './host/host-breaker.js'
import type { HostCounts } from './host/host-counts.js'
import { runExclusive } from './host/run-exclusive.js'
import { PgPoolFacade } from './pg-pool-facade.js'
import type { PoolCounts } from './pool/pool-counts.js'
import { type FlushMode, flushModes, type PoolSize } from './pool/resource-pool.js'
import { defaultEndMs, type EndOptions } from './pool-end.js'
import { type PoolHealth, poolHealth } from './pool-health.js'
import { assertSize, withoutUndefined } from './pool-options.js'
import type { AmbientContext } from './session/ambient.js'
import { type Deadline, withDeadline } from './session/ambient-deadline.js'
import { type BatchResults, batch } from './session/batch.js'
import { type BatchTaskResults, type BatchTasks, batchTogether } from './session/batch-together.js'
import { causalToken, withCausality } from './session/causality.js'
import { beginTransaction, type ControlledTransactionOptions } from './session/controlled-transaction.js'
import { type CopyOptions, type CopyRows, type CopyTarget, copyFrom } from './session/copy/copy-from.js'
import { type CopyOrigin, type CopyToOptions, copyTo } from './session/copy/copy-to.js'
import { endedError } from './session/ended-transaction.js'
import { type FanOutResults, type FanOutTasks, fanOut } from './session/fan-out.js'
import { type ConcurrencyOptions, forEachConcurrent } from './session/for-each-concurrent.js'
import type { Listeners } from './session/listen/listeners.js'
import type { ListenOptions, NotificationHandler, Subscription } from './session/listen/subscription.js'
import { type Candidacy, type ElectOptions, elect } from './session/lock/elect.js'
import type { LockHandle } from './session/lock/held-lock.js'
import type { Lock } from './session/lock/lock.js'
import type { LockKey } from './session/lock/lock-key.js'
import { type LockListing, listLocks } from './session/lock/lock-listing.js'
import type { AcquireLockOptions, LockOptions, TryLockOptions } from './session/lock/lock-options.js'
import {
  acquireLock,
  type LockEnvironment,
  type TryLockResult,
  tryWithLock,
  withLock,
} from './session/lock/with-lock.js'
import { type MigrationLockOptions, withMigrationLock } from './session/lock/with-migration-lock.js'
import { type SemaphoreOptions, withSemaphore } from './session/lock/with-semaphore.js'
import { notify, type Operable } from './session/operations.js'
import { AcquiredConnection, type PooledConnection } from './session/pooled-connection.js'
import type { StreamArguments, StreamOptions } from './session/portal.js'
import { type QueryArguments, query, statementOf, withCallersStack } from './session/queryable.js'
import { type ReadOptions, read } from './session/read.js'
import { RowStream } from './session/row-stream.js'
import type { SessionEvents } from './session/session-events.js'
import type { Sql } from './session/sql/sql-statement.js'
import { streamBatches } from './session/stream.js'
import type { ControlledTransaction, Transaction } from './session/transaction.js'
import type { TransactionOptions } from './session/transaction-options.js'
import { type UpdateVersionedOptions, updateVersioned } from './session/update-versioned.js'
import { Fallback, type FallbackOptions, type FallbackResult } from './session/with-fallback.js'
import {
  type OptimisticAttempt,
  type OptimisticRetryOptions,
  withOptimisticRetry,
} from './session/with-optimistic-retry.js'
import { withTransaction } from './session/with-transaction.js'
import type { CopyResult } from './wire/copy-in.js'
import type { ExchangeConfig } from './wire/exchange.js'
import type { PgPool } from './wire/pg-shapes.js'
import type { QueryResult } from './wire/query-result.js'
import type { StatementConfig } from './wire/statement.js'

/** The pool at one moment, in numbers. */
export interface PoolStats extends Readonly<PoolCounts>, HostCounts {
  readonly name: string
  /** Whether it serves callers now, and if not, why. */
  readonly state: 'open' | 'overloaded' | 'paused' | 'ending'
  /** The most connections that it may have. */
  readonly max: number
  /** Connections that it keeps although nobody uses them. */
  readonly min: number
  /** Connections that it has now, those on their way out included. */
  readonly total: number
  /** Of them, in use. */
  readonly active: number
  /** Of them, ready to be used. */
  readonly idle: number
  /** Connections being opened. */
  readonly connecting: number
  /** Callers that wait for a connection. */
  readonly waiting: number
  /** How long the first of them has waited, in milliseconds. */
  readonly longestWaitMs: number
  /** Connections on which statements outside of transactions run now, that others may join. */
  readonly lanes: number
  /** Statements that were sent on a connection while others were under way on it, since the pool was made. */
  readonly pipelined: number
  /** How often work was done again, by `withTransaction` and `withOptimisticRetry`. */
  readonly retries: number
  /** Retries that the budget would still allow at once. */
  readonly retryBudget: number
  /** Each host of a pool with several of them, with its role and lag; empty otherwise. The figures above are the primary's. */
  readonly hosts: readonly HostStats[]
  /** The circuit breaker of the server; undefined when it is off. */
  readonly breaker: BreakerStats | undefined
}

/** The events of a pool, by name. */
export interface PoolEvents extends SessionEvents, ClusterEvents {}

/**
 * A pool of connections to one PostgreSQL database, with everything that keeps work on it right. Made by
 * {@link createPool}.
 */
export class Pool implements Operable, AsyncDisposable {
  /** The name it was given. */
  readonly name: string
  readonly #environment: LockEnvironment
  readonly #fallback: Fallback
  readonly #listeners: Listeners
  #pgPool: PgPool | undefined

  /** @internal use createPool */
  constructor(name: string, environment: LockEnvironment, listeners: Listeners) {
    this.name = name
    this.#environment = environment
    this.#listeners = listeners
    this.#fallback = new Fallback(environment)
  }

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
  query<Row>(...args: QueryArguments): Promise<QueryResult<Row>> {
    return query<Row>(this, this.#environment.ambient, args)
  }

  /** The form of `query` for adapters: one object, absolute limits, and no work on the stack of errors. @internal */
  execute(config: StatementConfig | ExchangeConfig, limit: Limit): Promise<QueryResult> {
    const { ambient, cluster, host } = this.#environment
    const context = ambient.current
    if (context?.collecting !== undefined) return context.collecting.add(config as StatementConfig)
    if (context?.transaction !== undefined) return context.transaction.execute(config, limit)
    if ('exchange' in config) {
      const done = runExclusive(host, config, limit, context?.holder)
      // What it writes is seen by the reads behind it.
      const causality = cluster === undefined ? undefined : context?.causality
      return causality === undefined ? done : done.finally(() => causality.noteUnknown())
    }
    if (cluster === undefined) return host.query(config, limit, context?.holder)
    return cluster.execute(config, limit, askingOf(context))
  }

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
  ): Promise<BatchResults<Statements>> {
    return batch(this, this.#environment.ambient, statements, options)
  }

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
  ): Promise<BatchTaskResults<Tasks>> {
    return batchTogether(this, this.#environment, tasks, options)
  }

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
  stream<Row>(...args: StreamArguments): AsyncGenerator<Row, void, undefined> {
    const { config, options } = statementOf(args)
    return new RowStream(this.streamBatches<Row>(config, options))
  }

  /** The same rows in batches of `batchSize`, for code that handles many at a time. */
  streamBatches<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    return streamBatches<Row>(this.#environment, statement, options)
  }

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
  copyFrom(target: CopyTarget, rows: CopyRows, options?: CopyOptions): Promise<CopyResult> {
    return copyFrom(this, this.#environment.ambient, target, rows, options)
  }

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
  copyTo(origin: CopyOrigin, options?: CopyToOptions): Readable {
    return copyTo(this, this.#environment.ambient, origin, options)
  }

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
  ): Promise<Subscription> {
    return this.#listeners.listen(channels, handler, options)
  }

  /** Sends a notification: at once, or when the transaction that is open around the call commits. */
  notify(channel: string, payload?: string, options?: OperationOptions): Promise<void> {
    return notify(this, channel, payload, options)
  }

  /**
   * A connection of one's own, until it is released. `await using` releases it at the end of the block. It does not
   * take part in a transaction that is open around the call.
   *
   * @throws AcquireTimeoutError when the pool is busy, ServerUnavailableError when the server is down, QueueFullError,
   * SelfDeadlockError, PoolClosedError, OperationAbortedError
   */
  async acquire(options?: OperationOptions): Promise<PooledConnection> {
    const { ambient, host } = this.#environment
    const holder = ambient.current?.holder
    try {
      const slot = host.tryTake(holder) ?? (await host.take(ambient.limitFor(options), holder))
      return new AcquiredConnection(this.#environment, slot)
    } catch (error) {
      throw withCallersStack(error)
    }
  }

  /**
   * Runs `fn` in a transaction, to which every query on this pool inside of `fn` belongs. It commits when `fn` returns
   * and rolls back when it throws; it runs `fn` again when the server undid the transaction for the sake of others.
   * Inside another transaction it is a savepoint.
   *
   * @throws what `fn` threw; TransactionRolledBackError when `fn` swallowed the failure of a statement;
   * CommitUnknownError, and only that, when it is not known whether it was committed
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.withTransaction(
   *   async (tx) => {
   *     await tx.query('update account set balance = balance - $1 where id = $2', [10, 1])
   *     await tx.query('update account set balance = balance + $1 where id = $2', [10, 2])
   *   },
   *   { isolation: 'serializable', timeoutMs: 2_000 },
   * )
   * ```
   */
  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    return withTransaction(this.#environment, fn, options)
  }

  /**
   * A transaction to be ended by hand, for callers that cannot put their work into one function; a savepoint inside the
   * transaction that is open around the call. Only queries through its own handle belong to it.
   */
  async beginTransaction(options?: ControlledTransactionOptions): Promise<ControlledTransaction> {
    if (this.#environment.host.pool.isEnding) throw new PoolClosedError('cannot begin a transaction')
    return await beginTransaction(this.#environment, options)
  }

  /** The transaction that queries on this pool would join here; undefined outside of any. */
  get currentTransaction(): Transaction | undefined {
    const transaction = this.#environment.ambient.current?.transaction
    if (transaction?.isOver === true) throw endedError(transaction)
    return transaction
  }

  /**
   * Stands for what is open around the code that runs now, transaction, deadline and all; undefined outside of any. For
   * adapters of ORMs that collect calls: those of two contexts must never be sent as one. @internal
   */
  get context(): object | undefined {
    return this.#environment.ambient.current
  }

  /**
   * Whether a text is one statement that only reads, by the rule of this pool: it needs nothing of its session, leaves
   * nothing there, and may go to a replica inside `read`. For adapters. @internal
   */
  isReadOnly(text: string): boolean {
    return this.#environment.cluster?.allows(text) ?? isReadOnlyText(text)
  }

  /** Runs `fn` outside of the transaction that is open around the call: what it does is not undone with that. */
  outsideTransaction<T>(fn: () => Promise<T>): Promise<T> {
    const { ambient } = this.#environment
    return ambient.run({ transaction: undefined }, fn)
  }

  /**
   * Runs `fn` while holding the advisory lock of this name, over all processes that use the database. Its `signal`
   * aborts when the lock is lost, because its session ended.
   *
   * @throws LockTimeoutError, DeadlockError, LockLostError, or what `fn` threw
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.withLock('invoice:42', async ({ signal }) => {
   *   await fetch('https://mail.example/send', { method: 'POST', signal })
   * }, { waitMs: 2_000 })
   * ```
   */
  withLock<T>(
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: LockOptions,
  ): Promise<T> {
    return withLock(this.#environment, key, fn, options)
  }

  /** Like `withLock`, but does not wait: `{ acquired: false }` when somebody else holds the lock. */
  tryWithLock<T>(
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: TryLockOptions,
  ): Promise<TryLockResult<T>> {
    return tryWithLock(this.#environment, key, fn, options)
  }

  /**
   * A lock that is held until its `release`, or the end of its `await using` block. Unlike inside `withLock`, taking it
   * again waits for itself.
   */
  acquireLock(key: LockKey | readonly LockKey[], options?: AcquireLockOptions): Promise<Lock> {
    return acquireLock(this.#environment, key, options)
  }

  /** Runs `fn` while holding one of `permits` places of this name, over all processes that use the database. */
  withSemaphore<T>(
    name: string,
    permits: number,
    fn: (lock: LockHandle) => Promise<T>,
    options?: SemaphoreOptions,
  ): Promise<T> {
    return withSemaphore(this.#environment, name, permits, fn, options)
  }

  /**
   * Stands for leader: `fn` runs while this process leads, in one process at a time, and again after every end of a term
   * until the candidacy is stopped. Watch `signal`: it aborts when the lead is lost.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await using candidacy = pool.elect('scheduler', async ({ signal }) => {
   *   while (!signal.aborted) await pool.query('select run_due_jobs()', [], { signal })
   * })
   * console.log(candidacy.isLeader)
   * ```
   */
  elect(name: string, fn: (term: LockHandle) => Promise<unknown>, options?: ElectOptions): Candidacy {
    return elect(this.#environment, name, fn, options)
  }

  /** Runs `fn` in one process at a time: for deploys in which every instance starts with the migrations. */
  withMigrationLock<T>(fn: (lock: LockHandle) => Promise<T>, options?: MigrationLockOptions): Promise<T> {
    return withMigrationLock(this.#environment, fn, options)
  }

  /** Who holds and who waits for which advisory lock of this database, with the names that this process knows. */
  locks(options?: OperationOptions): Promise<LockListing[]> {
    const { host, lockNames, ambient } = this.#environment
    return listLocks(host, lockNames, ambient.limitFor(options))
  }

  /**
   * Runs `fn` again for as long as it throws VersionConflictError, a few times at most: for updates that check a version
   * in place of holding a lock.
   */
  withOptimisticRetry<T>(fn: (attempt: OptimisticAttempt) => Promise<T>, options?: OptimisticRetryOptions): Promise<T> {
    return withOptimisticRetry(this.#environment, fn, options)
  }

  /**
   * Updates the row that has these key columns and still has the version that was read, and counts the version up.
   *
   * @throws VersionConflictError when somebody else was faster; inside `withOptimisticRetry` that is tried again
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.updateVersioned('item', { id: 7, version: 3 }, { name: 'Lamp' })
   * ```
   */
  updateVersioned<Row = Record<string, unknown>>(
    table: string,
    key: Readonly<Record<string, unknown>>,
    changes: Readonly<Record<string, unknown>>,
    options?: UpdateVersionedOptions,
  ): Promise<Row> {
    return updateVersioned<Row>(this, table, key, changes, options)
  }

  /**
   * Runs `fn`; what it reads on this pool may come from a replica that is no further behind the primary than `maxLagMs`
   * (or `maxLagBytes`). What writes, locks, or is not known to do neither goes to the primary, and so do transactions,
   * except those with `readOnly: true`. What is written inside is seen by the reads behind it. Without replicas it is
   * `fn` alone.
   *
   * @throws what `fn` threw; OperationTimeoutError, OperationAbortedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({
   *   connectionString: 'postgres://primary/shop',
   *   replicas: ['postgres://replica-1/shop', 'postgres://replica-2/shop'],
   * })
   * const { rows } = await pool.read(() => pool.query('select name from item order by name'), { maxLagMs: 500 })
   * console.log(rows.length)
   * ```
   */
  read<T>(fn: () => Promise<T>, options?: ReadOptions): Promise<T> {
    return read(this.#environment, fn, options)
  }

  /**
   * Runs `fn` as one line of work, a request say: its reads show what it has written before, on replicas too, and what
   * `token` stands for, which another request or another service was given by `causalToken()`.
   *
   * @throws InvalidOptionError when `token` is no token; what `fn` threw
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://primary/shop', replicas: ['postgres://replica/shop'] })
   *
   * async function handle(cookie: string | undefined): Promise<string | undefined> {
   *   return await pool.withCausality(cookie, async () => {
   *     await pool.query('insert into basket (item) values ($1)', [7])
   *     await pool.read(() => pool.query('select item from basket')) // shows item 7
   *     return await pool.causalToken() // for the cookie of the answer
   *   })
   * }
   * console.log(await handle(undefined))
   * ```
   */
  withCausality<T>(token: string | undefined, fn: () => Promise<T>): Promise<T> {
    return withCausality(this.#environment, token, fn)
  }

  /**
   * What the line of work around the call has written and seen, as a text for a cookie or a header: `withCausality` takes
   * it, in any process. Undefined when there is nothing to be seen. Outside of `withCausality` and `read` it stands for
   * everything that has been committed by now, which costs a round trip.
   *
   * @throws what the primary said when it had to be asked and could not be
   */
  causalToken(): Promise<string | undefined> {
    return causalToken(this.#environment)
  }

  /**
   * Runs `fn` with `timeoutMs` milliseconds for all that it does on this pool; what runs then is cancelled on the server.
   * `signal` of its argument tells the rest of `fn`.
   *
   * @throws OperationTimeoutError
   */
  withDeadline<T>(
    timeoutMs: number,
    fn: (deadline: Deadline) => Promise<T>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T> {
    return withDeadline(this.#environment, timeoutMs, fn, options)
  }

  /**
   * Runs pieces of work side by side and gives their values by the same names. The first failure, or the deadline,
   * cancels the others on the server.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const { user, orders } = await pool.fanOut(
   *   {
   *     user: () => pool.query<{ name: string }>('select name from customer where id = $1', [42]),
   *     orders: () => pool.query<{ id: number }>('select id from purchase where customer = $1', [42]),
   *   },
   *   { timeoutMs: 300 },
   * )
   * console.log(user.rows[0]?.name, orders.rows.length)
   * ```
   */
  fanOut<Tasks extends FanOutTasks>(tasks: Tasks, options?: OperationOptions): Promise<FanOutResults<Tasks>> {
    return fanOut(this.#environment, tasks, options)
  }

  /** Runs `fn` for each item, a few at a time and never more than the pool can carry; values in the order of the items. */
  forEachConcurrent<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, index: number, deadline: Deadline) => Promise<T>,
    options?: ConcurrencyOptions,
  ): Promise<T[]> {
    return forEachConcurrent(this.#environment, this.#environment.host.pool.max, items, fn, options)
  }

  /**
   * Asks the database through `fn`; while the database cannot be asked, gives its last good answer out of `cache`, marked
   * as stale.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const cache = new Map<string, unknown>()
   * const { value, stale } = await pool.withFallback(
   *   'product:42',
   *   async () => (await pool.query<{ name: string }>('select name from product where id = 42')).rows[0],
   *   { cache, staleIfErrorMs: 60_000, timeoutMs: 200 },
   * )
   * console.log(value?.name, stale)
   * ```
   */
  withFallback<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>> {
    return this.#fallback.get(key, fn, options)
  }

  /**
   * This pool with the shape of a `pg.Pool`, for everything that takes one: the same object at every call, without a
   * connection of its own. What it is asked inside an open transaction belongs to that transaction; a client that is
   * connected there runs on the transaction's connection, and its BEGIN, COMMIT and ROLLBACK are those of a savepoint.
   * Its `end` ends this pool.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const client = await pool.asPgPool().connect()
   * try {
   *   await client.query('listen orders')
   * } finally {
   *   client.release(true)
   * }
   * ```
   */
  asPgPool(): PgPool {
    this.#pgPool ??= new PgPoolFacade(this, this.#environment) as unknown as PgPool
    return this.#pgPool
  }

  /** Listens to what happens in the pool; returns the way to stop. A listener that throws becomes a process warning. */
  on<Name extends keyof PoolEvents>(name: Name, listener: (event: PoolEvents[Name]) => void): () => void {
    return this.#environment.events.on(name, listener)
  }

  /** The pool in numbers; cheap enough to be read every second. */
  stats(): PoolStats {
    const { cluster, host, retryBudget, counts } = this.#environment
    const { pool } = host
    return {
      name: this.name,
      max: pool.max,
      min: pool.min,
      state: pool.isEnding ? 'ending' : pool.isPaused ? 'paused' : pool.isOverloaded ? 'overloaded' : 'open',
      total: pool.total,
      active: pool.active,
      idle: pool.idle,
      connecting: pool.connecting,
      waiting: pool.waiting,
      longestWaitMs: pool.longestWaitMs,
      lanes: host.lanes.inUse,
      pipelined: host.lanes.pipelined,
      retries: counts.retries,
      retryBudget: retryBudget.available,
      hosts: cluster?.stats() ?? [],
      breaker: host.watch.breaker?.stats(),
      ...host.watch.tally.snapshot(),
      ...pool.counts,
    }
  }

  /**
   * Asks every server whether it is there, within `timeoutMs` (2 s by default). It waits for no connection of the pool: a
   * pool that is full of work is well. Made for readiness checks; a process that lives need not be restarted because its
   * database does not answer.
   *
   * @throws OperationAbortedError when its signal aborts; a server that is down is told, not thrown
   * @example
   * ```ts
   * import { createServer } from 'node:http'
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * createServer(async (_request, response) => {
   *   const { status } = await pool.health({ timeoutMs: 500 })
   *   response.writeHead(status === 'down' ? 503 : 200).end(status)
   * }).listen(8080)
   * ```
   */
  health(options?: OperationOptions): Promise<PoolHealth> {
    const { cluster, host } = this.#environment
    return poolHealth([host, ...(cluster?.readers ?? [])], options)
  }

  /**
   * Closes connections, so that new ones take their place: after a change that sessions see only when they begin, such as
   * ALTER ROLE ... SET, or to spread them anew behind a balancer. `'idle'` closes those that nobody uses now,
   * `'gracefully'` also those in use as they come back, `'all'` those in use at once: what runs on them fails with
   * ConnectionLostError. Settles when they are gone; a limit ends only the wait, they are closed all the same.
   *
   * @throws OperationTimeoutError, OperationAbortedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.query("alter role shop set statement_timeout = '5s'")
   * await pool.flush('gracefully', { timeoutMs: 60_000 })
   * ```
   */
  async flush(mode: FlushMode, options?: OperationOptions): Promise<void> {
    if (!flushModes.includes(mode)) throw new InvalidOptionError('mode', String(mode), flushModes.join(', '))
    const { cluster, host, ambient } = this.#environment
    const limit = ambient.limitFor(options)
    const flushed = Promise.all([host.pool.flush(mode), cluster?.flush(mode)])
    await within(flushed, limit, host.environment.clock, 'unknown')
  }

  /**
   * Hands out no connection any more: what runs is finished, and new callers wait within their own deadlines until
   * `resume`. Work that holds a connection still gets another one, as it could not be finished otherwise. Settles when
   * nothing is in use; a limit ends only the wait, the pool stays paused.
   *
   * @throws OperationTimeoutError, OperationAbortedError, also when it is resumed before; PoolClosedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.pause({ timeoutMs: 5_000 })
   * // the server is restarted, or a table is changed under an exclusive lock
   * pool.resume()
   * ```
   */
  async pause(options?: OperationOptions): Promise<void> {
    const { cluster, host, ambient } = this.#environment
    const limit = ambient.limitFor(options)
    const paused = Promise.all([host.pool.pause(), cluster?.pause()])
    await within(paused, limit, host.environment.clock, 'unknown')
  }

  /** Ends a `pause`: whoever waits is served. Does nothing when there is none. */
  resume(): void {
    const { cluster, host } = this.#environment
    host.pool.resume()
    cluster?.resume()
  }

  /**
   * Changes how many connections there may and should be. A larger pool serves at once who waits; a smaller one closes
   * what is too much, as it comes back.
   *
   * @throws InvalidOptionError unless `max` is 1 or more and `min` from 0 to `max`, and a shared budget has room for it
   */
  resize(size: PoolSize): void {
    const { pool } = this.#environment.host
    assertSize(size, pool)
    pool.resize(withoutUndefined(size))
  }

  /**
   * Takes no new work, lets what was begun or waits finish, and closes every connection; see {@link EndOptions}. A
   * second call waits for the first, and its own bound applies too: `end({ mode: 'fast' })` cuts the first short.
   *
   * @throws OperationAbortedError when `cancelEnd` undid it
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * process.once('SIGTERM', () => {
   *   pool.end({ timeoutMs: 5_000 }).then(() => process.exit(0))
   * })
   * ```
   */
  async end(options: EndOptions = {}): Promise<void> {
    const { mode = 'gracefully', timeoutMs = defaultEndMs } = options
    if (mode !== 'gracefully' && mode !== 'fast') {
      throw new InvalidOptionError('mode', String(mode), 'gracefully, fast')
    }
    const { cluster, host } = this.#environment
    const { clock } = host.environment
    // Checked before anything is begun.
    operationLimit({ timeoutMs }, clock)
    const endNow = (): void => {
      host.pool.endNow()
      cluster?.endNow()
    }
    if (mode === 'fast') endNow()
    // The replicas' pools go on until the primary's has ended, which can be undone until then.
    const ended = host.pool.end().then(() => cluster?.end())
    const timer = clock.setTimer(timeoutMs, endNow)
    try {
      await ended
      await this.#listeners.end()
    } finally {
      clock.clearTimer(timer)
    }
  }

  /**
   * Undoes `end` while it still waits for what was begun: the pool goes on, and the promise of `end` rejects with
   * OperationAbortedError. False when there is nothing to undo: it was not being ended, or is already torn down.
   */
  cancelEnd(): boolean {
    return this.#environment.host.pool.cancelEnd()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }
}

/** What a statement may do here, and what it must see. */
function askingOf(context: AmbientContext | undefined): Asking {
  if (context === undefined) return asksForNothing
  const { reading, causality, locks, holder } = context
  return { reading, causality, isUnderLock: locks.size > 0, holder }
}

const asksForNothing: Asking = { reading: undefined, causality: undefined, isUnderLock: false, holder: undefined }
