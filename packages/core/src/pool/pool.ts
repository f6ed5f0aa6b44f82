import type { Readable } from 'node:stream'
import type { CopyResult } from '../connection/copy.js'
import type { PgPool } from '../connection/pg-classes.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { OperationOptions } from '../deadline/deadline.js'
import type { Candidacy, ElectOptions } from '../lock/election.js'
import type { LockListing } from '../lock/listing.js'
import type { Lock } from '../lock/lock.js'
import type { AcquireLockOptions, LockOptions, TryLockOptions } from '../lock/options.js'
import type { SemaphoreOptions } from '../lock/semaphore.js'
import type { MigrationLockOptions, TryLockResult } from '../lock/with-lock.js'
import type { BatchResults } from '../query/batch.js'
import type { CopyOptions, CopyOrigin, CopyRows, CopyTarget, CopyToOptions } from '../query/copy.js'
import type { Operable } from '../query/operations.js'
import type { QueryArguments } from '../query/queryable.js'
import type { Sql } from '../query/sql.js'
import type { StreamArguments, StreamOptions } from '../query/stream.js'
import type { ListenOptions, NotificationHandler, Subscription } from '../query/subscription.js'
import type { EvictMode } from '../resource-pool/lifecycle.js'
import type { PoolSize } from '../resource-pool/limits.js'
import type { LockKey } from '../sql/lock-key.js'
import type { DeadlineHandle, DeadlineOptions } from '../transaction/ambient-deadline.js'
import type { LockHandle } from '../transaction/held-lock.js'
import type { ManualTransactionOptions } from '../transaction/manual-transaction.js'
import type { OptimisticAttempt, OptimisticRetryOptions, UpdateVersionedOptions } from '../transaction/optimistic.js'
import type { TransactionOptions } from '../transaction/options.js'
import type { ManualTransaction, Transaction } from '../transaction/transaction.js'
import type { BatchTaskResults, BatchTasks } from './batch-together.js'
import type { EndOptions } from './control.js'
import type { PoolEvents } from './events.js'
import type { FallbackOptions, FallbackResult } from './fallback.js'
import type { ConcurrencyOptions, FanOutResults, FanOutTasks } from './fan-out.js'
import type { PoolHealth } from './health.js'
import type { PooledConnection } from './pooled-connection.js'
import type { ReadOptions } from './read.js'
import type { ActiveConnection, PoolStats } from './stats.js'

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
   * Runs pieces of work side by side, each of which asks this pool for one statement, through an ORM for example, and sends
   * those as one batch: one round trip, all or nothing. Returns what each piece of work returns.
   *
   * @throws BatchError with the index of the one that failed; InvalidArgumentError when one does not ask for exactly one
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
   * The rows of a statement one by one, fetched in batches as they are asked for, and from the second on one batch ahead.
   * Breaking out of the loop releases the connection.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * for await (const row of pool.stream<{ id: number }>('select id from event order by id')) {
   *   console.log(row.id)
   * }
   * ```
   */
  stream<Row>(statement: Sql<Row>, options?: StreamOptions): AsyncGenerator<Row, void, undefined>
  stream<Row = Record<string, unknown>>(...args: StreamArguments): AsyncGenerator<Row, void, undefined>

  /**
   * Copies rows into a table with COPY: all of them, or none.
   *
   * @throws what the rows throw, or the error of the server; then nothing was copied
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
   * on one session beside it. When that is lost, a new one subscribes again, and `onGap` is called, as notifications may have
   * been missed. Never part of a transaction.
   *
   * @throws the error that keeps it from listening in time
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

  /**
   * A connection of one's own, until it is released. `await using` releases it at the end of the block. It does not
   * take part in a transaction that is open around the call.
   *
   * @throws AcquireTimeoutError when the pool is busy, ServerUnavailableError when the server is down, QueueFullError,
   * SelfDeadlockError, PoolClosedError, OperationAbortedError
   */
  acquire(options?: OperationOptions): Promise<PooledConnection>
}

/** Transactions of the pool, and updates that check a version in their place. */
export interface PoolTransactions {
  /**
   * Runs `fn` in a transaction, to which every query on this pool inside of `fn` belongs. It commits when `fn` returns
   * and rolls back when it throws; it runs `fn` again when the server undid the transaction for the sake of others.
   * Inside another transaction it is a savepoint.
   *
   * Do not end it by SQL in `fn`. After a COMMIT of your own an error no longer means that nothing was committed: the
   * transaction ends there, what is asked of it later is refused with TransactionClosedError, and `fn` does not run again.
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
  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>

  /**
   * A transaction that the caller ends, for callers that cannot put their work into one function; a savepoint inside the
   * transaction that is open around the call. Only queries through its own handle belong to it.
   */
  beginTransaction(options?: ManualTransactionOptions): Promise<ManualTransaction>

  /** The transaction that queries on this pool would join here; undefined outside of any. */
  readonly currentTransaction: Transaction | undefined

  /** Runs `fn` outside of the transaction that is open around the call: what it does is not undone with that. */
  outsideTransaction<T>(fn: () => Promise<T>): Promise<T>

  /**
   * Runs `fn` again for as long as it throws VersionConflictError, a few times at most: for updates that check a version
   * in place of holding a lock.
   */
  withOptimisticRetry<T>(fn: (attempt: OptimisticAttempt) => Promise<T>, options?: OptimisticRetryOptions): Promise<T>

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
  ): Promise<Row>
}

/** Locks over all processes that use the database. */
export interface PoolLocks {
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
  ): Promise<T>

  /** Like `withLock`, but does not wait: `{ acquired: false }` when somebody else holds the lock. */
  tryWithLock<T>(
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: TryLockOptions,
  ): Promise<TryLockResult<T>>

  /**
   * A lock that is held until its `release`, or the end of its `await using` block. Unlike inside `withLock`, taking it
   * again waits for itself.
   */
  acquireLock(key: LockKey | readonly LockKey[], options?: AcquireLockOptions): Promise<Lock>

  /** Runs `fn` while holding one of `permits` places of this name, over all processes that use the database. */
  withSemaphore<T>(
    name: string,
    permits: number,
    fn: (lock: LockHandle) => Promise<T>,
    options?: SemaphoreOptions,
  ): Promise<T>

  /**
   * Takes part in the election of a leader: `fn` runs while this process leads, in one process at a time, and again after
   * every term until the candidacy is stopped or the pool ends. Watch `signal`: it aborts when the lead is lost.
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
  elect(name: string, fn: (term: LockHandle) => Promise<unknown>, options?: ElectOptions): Candidacy

  /** Runs `fn` in one process at a time: for deploys in which every instance starts with the migrations. */
  withMigrationLock<T>(fn: (lock: LockHandle) => Promise<T>, options?: MigrationLockOptions): Promise<T>

  /** The holders and waiters of each advisory lock of this database, with the names that this process knows. */
  listLocks(options?: OperationOptions): Promise<LockListing[]>
}

/** Reads that may come from a replica, or out of a cache. */
export interface PoolReads {
  /**
   * Runs `fn`; what it reads on this pool may come from a replica that is no further behind the primary than `maxLagMs`
   * (or `maxLagBytes`), streams included. What writes, locks, or is not known to do neither goes to the primary, and so
   * do transactions, except those with `readOnly: true`. What is written inside is seen by the reads after it. Without
   * replicas `fn` simply runs.
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
  read<T>(fn: () => Promise<T>, options?: ReadOptions): Promise<T>

  /**
   * Runs `fn` as one piece of work, such as the handling of a request: its reads show what it has written before, on
   * replicas too, and what `token` stands for, which another request or another service got from `causalToken()`.
   *
   * @param token what `causalToken` gave, here or in another process; undefined when there is none
   * @throws InvalidArgumentError when `token` is no token; what `fn` threw
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
  withCausality<T>(token: string | undefined, fn: () => Promise<T>): Promise<T>

  /**
   * What the `withCausality` or `read` around the call has written and seen, as a string for a cookie or a header:
   * `withCausality` takes it, in any process. Undefined when there is nothing to be seen. Outside of them it stands for
   * everything that has been committed by now, by anybody, which costs a round trip to the primary.
   *
   * @throws the error of the primary, when it had to be asked
   */
  causalToken(): Promise<string | undefined>

  /**
   * Asks the database through `fn`; while the database cannot be asked, returns its last good answer from `cache`, marked
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
  withFallback<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>>
}

/** One deadline for many operations. */
export interface PoolDeadlines {
  /**
   * Runs `fn` with `timeoutMs` milliseconds for all that it does on this pool; what runs then is cancelled on the server.
   * `signal` of its argument aborts at that time, for the rest of `fn`.
   *
   * @throws OperationTimeoutError
   */
  withDeadline<T>(fn: (deadline: DeadlineHandle) => Promise<T>, options: DeadlineOptions): Promise<T>

  /**
   * Runs pieces of work side by side and returns their values by the same names. The first failure, or the deadline,
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
  fanOut<Tasks extends FanOutTasks>(tasks: Tasks, options?: OperationOptions): Promise<FanOutResults<Tasks>>

  /** Runs `fn` for each item, a few at a time and never more than the pool has connections; values in the order of the items. */
  forEachConcurrent<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, index: number, deadline: DeadlineHandle) => Promise<T>,
    options?: ConcurrencyOptions,
  ): Promise<T[]>
}

/** What the pool does, and how it is changed and ended. */
export interface PoolControl extends AsyncDisposable {
  /** Listens to events of the pool; returns a function that stops it. What a listener throws becomes a process warning. */
  on<Name extends keyof PoolEvents>(name: Name, listener: (event: PoolEvents[Name]) => void): () => void

  /** The pool in numbers; cheap enough to be read every second. */
  stats(): PoolStats

  /**
   * The connections that are in use now, of all servers, the one that has been so for longest first: what runs on each, for
   * how long, and, with `leakDetectionMs`, which lines of the program have acquired it.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop', leakDetectionMs: 30_000 })
   * for (const { pid, heldMs, text, acquireStack } of pool.active()) console.log(pid, heldMs, text, acquireStack)
   * ```
   */
  active(): ActiveConnection[]

  /**
   * Asks every server whether it answers, within `timeoutMs` (2 s by default). It waits for no connection of the pool: a
   * busy pool is healthy. Made for readiness checks, not for liveness checks: a process need not be restarted because its
   * database does not answer.
   *
   * @throws OperationAbortedError when its signal aborts; a server that is down is reported, not thrown
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
  health(options?: OperationOptions): Promise<PoolHealth>

  /**
   * Closes connections, so that new ones take their place: after a change that sessions see only when they begin, such as
   * ALTER ROLE ... SET, or to spread them anew behind a load balancer. `'idle'` closes those that nobody uses now,
   * `'graceful'` also those in use as they are released, `'all'` those in use at once: what runs on them fails with
   * ConnectionLostError. Settles when they are closed; a deadline ends only the wait, they are closed all the same.
   *
   * @throws OperationTimeoutError, OperationAbortedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.query("alter role shop set statement_timeout = '5s'")
   * await pool.evict('graceful', { timeoutMs: 60_000 })
   * ```
   */
  evict(mode: EvictMode, options?: OperationOptions): Promise<void>

  /**
   * Lets nobody acquire a connection: what runs is finished, and new callers wait within their own deadlines until
   * `resume`. Work that holds a connection still gets another one, as it could not be finished otherwise. Settles when
   * nothing is in use; a deadline ends only the wait, the pool stays paused.
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
  pause(options?: OperationOptions): Promise<void>

  /** Ends a `pause`: callers that wait are served. Does nothing when there is none. */
  resume(): void

  /**
   * Changes how many connections there may and should be. A larger pool serves callers that wait at once; a smaller one
   * closes those that are too many, as they are released.
   *
   * @throws InvalidArgumentError unless `max` is 1 or more and `min` from 0 to `max`, and a shared budget has room for it
   */
  resize(size: PoolSize): void

  /**
   * Takes no new work, lets what was begun or waits finish, and closes every connection; see {@link EndOptions}. A
   * second call waits for the first, and its own bound applies too: `end({ mode: 'fast' })` cuts the first short.
   * Subscriptions and elections end at once, and report it: by `onEnd` of `listen` and `elect`, by the signal of a leader,
   * and by PoolClosedError where `listen` still waits.
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
  end(options?: EndOptions): Promise<void>

  /**
   * Undoes `end` while it still waits for what was begun: the pool goes on, and the promise of `end` rejects with
   * OperationAbortedError. False when there is nothing to undo: it was not being ended, or is already torn down.
   * Subscriptions and elections that `end` has ended do not come back.
   */
  cancelEnd(): boolean
}

/**
 * A pool of connections to one PostgreSQL database. Made by {@link createPool}.
 */
export interface Pool extends PoolStatements, PoolTransactions, PoolLocks, PoolReads, PoolDeadlines, PoolControl {
  /** The name it was given. */
  readonly name: string

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
  asPgPool(): PgPool
}
