import type { Readable } from 'node:stream'
import type { Command } from '../connection/command.js'
import type { PgPool } from '../connection/pg-classes.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline, OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames, optionNames } from '../errors/known-options.js'
import { ownedBy } from '../errors/origin.js'
import { PoolClosedError } from '../errors/pool-errors.js'
import type { Listeners } from '../listen/listener.js'
import { type Candidacy, type ElectOptions, elect } from '../lock/election.js'
import { type LockListing, listLocks } from '../lock/listing.js'
import type { Lock } from '../lock/lock.js'
import type { AcquireLockOptions, LockOptions, TryLockOptions } from '../lock/options.js'
import { type SemaphoreOptions, withSemaphore } from '../lock/semaphore.js'
import {
  acquireLock,
  type LockEnvironment,
  type MigrationLockOptions,
  type TryLockResult,
  tryWithLock,
  withLock,
  withMigrationLock,
} from '../lock/with-lock.js'
import { assertSize, withoutUndefined } from '../options/pool-options.js'
import type { LendClient } from '../pg-compat/new-connection.js'
import { PgPoolFacade } from '../pg-compat/pg-pool.js'
import type { PgSession } from '../pg-compat/pg-session.js'
import { type CopyOrigin, type CopyToOptions, copyTo } from '../query/copy.js'
import { Operations } from '../query/operations.js'
import { withCallersStack } from '../query/queryable.js'
import type { StreamOptions } from '../query/stream.js'
import type { ListenOptions, NotificationHandler, Subscription } from '../query/subscription.js'
import type { EvictMode } from '../resource-pool/lifecycle.js'
import type { PoolSize } from '../resource-pool/limits.js'
import type { LockKey } from '../sql/lock-key.js'
import { type DeadlineHandle, type DeadlineOptions, withDeadline } from '../transaction/ambient-deadline.js'
import type { LockHandle } from '../transaction/held-lock.js'
import { endedError } from '../transaction/join.js'
import { beginTransaction, type ManualTransactionOptions } from '../transaction/manual-transaction.js'
import {
  type OptimisticAttempt,
  type OptimisticRetryOptions,
  type UpdateVersionedOptions,
  updateVersioned,
  withOptimisticRetry,
} from '../transaction/optimistic.js'
import type { TransactionOptions } from '../transaction/options.js'
import type { ManualTransaction, Transaction } from '../transaction/transaction.js'
import { withTransaction } from '../transaction/with-transaction.js'
import { type Adaptable, type AdapterPool, createAdapterPool, forAdapters } from './adapter-pool.js'
import { type BatchTaskResults, type BatchTasks, batchTogether } from './batch-together.js'
import { type EndOptions, endPool, evictFrom, pauseServers, resumeServers } from './control.js'
import type { PoolEvents } from './events.js'
import { executeJoined } from './execute.js'
import { Fallback, type FallbackOptions, type FallbackResult } from './fallback.js'
import { type ConcurrencyOptions, type FanOutResults, type FanOutTasks, fanOut, forEachConcurrent } from './fan-out.js'
import { type PoolHealth, poolHealth } from './health.js'
import type { Pool } from './pool.js'
import { AcquiredConnection, type PooledConnection } from './pooled-connection.js'
import { causalToken, type ReadOptions, read, withCausality } from './read.js'
import { type ActiveConnection, activeConnections, type PoolStats, poolStats } from './stats.js'
import { executorFromHere, streamBatches } from './stream.js'

const sizeNames = optionNames<PoolSize>({ max: true, min: true })

/** The pool: every method hands on to the function that does the work, with what the parts of the pool share. */
export class LifeguardPool extends Operations implements Pool, Adaptable {
  readonly name: string
  readonly #environment: LockEnvironment
  readonly #fallback: Fallback
  readonly #listeners: Listeners
  #pgPool: PgPoolFacade | undefined
  #adapterPool: AdapterPool | undefined

  constructor(name: string, environment: LockEnvironment, listeners: Listeners) {
    super(environment.ambient)
    this.name = name
    this.#environment = environment
    this.#listeners = listeners
    this.#fallback = new Fallback(environment)
  }

  /** How `query` and all that is like it run what they are given. @internal */
  execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    return executeJoined(this.#environment, command, deadline)
  }

  batchTogether<const Tasks extends BatchTasks>(
    tasks: Tasks,
    options?: OperationOptions,
  ): Promise<BatchTaskResults<Tasks>> {
    return batchTogether(this, this.#environment, tasks, options)
  }

  override streamBatches<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    return streamBatches<Row>(this.#environment, statement, options)
  }

  override copyTo(origin: CopyOrigin, options?: CopyToOptions): Readable {
    return copyTo(executorFromHere(this.#environment), this.#environment.ambient, origin, options)
  }

  listen(
    channels: string | readonly string[],
    handler: NotificationHandler,
    options?: ListenOptions,
  ): Promise<Subscription> {
    return this.#listeners.listen(channels, handler, options)
  }

  async acquire(options?: OperationOptions): Promise<PooledConnection> {
    assertKnownOptions(options, operationNames)
    const { ambient, server } = this.#environment
    const holder = ambient.current?.holder
    try {
      const deadline = ambient.deadlineFor(options)
      const isOver = deadline.reached() !== undefined
      const slot = (isOver ? undefined : server.tryAcquire(holder)) ?? (await server.acquire(deadline, holder))
      return new AcquiredConnection(this.#environment, slot)
    } catch (error) {
      throw withCallersStack(error)
    }
  }

  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    return withTransaction(this.#environment, fn, options)
  }

  async beginTransaction(options?: ManualTransactionOptions): Promise<ManualTransaction> {
    if (this.#environment.server.pool.isEnding) {
      throw ownedBy(new PoolClosedError('cannot begin a transaction'), this.#environment.server.environment)
    }
    return await beginTransaction(this.#environment, options)
  }

  get currentTransaction(): Transaction | undefined {
    const transaction = this.#environment.ambient.current?.transaction
    if (transaction?.isOver === true) throw endedError(transaction)
    return transaction
  }

  outsideTransaction<T>(fn: () => Promise<T>): Promise<T> {
    const { ambient } = this.#environment
    return ambient.run({ transaction: undefined }, fn)
  }

  withLock<T>(
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: LockOptions,
  ): Promise<T> {
    return withLock(this.#environment, key, fn, options)
  }

  tryWithLock<T>(
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: TryLockOptions,
  ): Promise<TryLockResult<T>> {
    return tryWithLock(this.#environment, key, fn, options)
  }

  acquireLock(key: LockKey | readonly LockKey[], options?: AcquireLockOptions): Promise<Lock> {
    return acquireLock(this.#environment, key, options)
  }

  withSemaphore<T>(
    name: string,
    permits: number,
    fn: (lock: LockHandle) => Promise<T>,
    options?: SemaphoreOptions,
  ): Promise<T> {
    return withSemaphore(this.#environment, name, permits, fn, options)
  }

  elect(name: string, fn: (term: LockHandle) => Promise<unknown>, options?: ElectOptions): Candidacy {
    return elect(this.#environment, name, fn, options)
  }

  withMigrationLock<T>(fn: (lock: LockHandle) => Promise<T>, options?: MigrationLockOptions): Promise<T> {
    return withMigrationLock(this.#environment, fn, options)
  }

  async listLocks(options?: OperationOptions): Promise<LockListing[]> {
    assertKnownOptions(options, operationNames)
    const { server, lockNames, ambient } = this.#environment
    return await listLocks(server, lockNames, ambient.deadlineFor(options))
  }

  withOptimisticRetry<T>(fn: (attempt: OptimisticAttempt) => Promise<T>, options?: OptimisticRetryOptions): Promise<T> {
    return withOptimisticRetry(this.#environment, fn, options)
  }

  updateVersioned<Row = Record<string, unknown>>(
    table: string,
    key: Readonly<Record<string, unknown>>,
    changes: Readonly<Record<string, unknown>>,
    options?: UpdateVersionedOptions,
  ): Promise<Row> {
    return updateVersioned<Row>(this, this.#environment, table, key, changes, options)
  }

  read<T>(fn: () => Promise<T>, options?: ReadOptions): Promise<T> {
    return read(this.#environment, fn, options)
  }

  withCausality<T>(token: string | undefined, fn: () => Promise<T>): Promise<T> {
    return withCausality(this.#environment, token, fn)
  }

  causalToken(): Promise<string | undefined> {
    return causalToken(this.#environment)
  }

  withDeadline<T>(fn: (deadline: DeadlineHandle) => Promise<T>, options: DeadlineOptions): Promise<T> {
    return withDeadline(this.#environment, fn, options)
  }

  fanOut<Tasks extends FanOutTasks>(tasks: Tasks, options?: OperationOptions): Promise<FanOutResults<Tasks>> {
    return fanOut(this.#environment, tasks, options)
  }

  forEachConcurrent<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, index: number, deadline: DeadlineHandle) => Promise<T>,
    options?: ConcurrencyOptions,
  ): Promise<T[]> {
    return forEachConcurrent(this.#environment, this.#environment.server.pool.max, items, fn, options)
  }

  withFallback<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>> {
    return this.#fallback.get(key, fn, options)
  }

  asPgPool(): PgPool {
    return this.#facade() as unknown as PgPool
  }

  get [forAdapters](): AdapterPool | undefined {
    // What stands in place of a pool, such as a Proxy, has nothing of this.
    if (!(#environment in this)) return undefined
    this.#adapterPool ??= createAdapterPool(this, this.#environment)
    return this.#adapterPool
  }

  /** Lends the client of a new connection to who prepares it. @internal */
  lendNew(session: PgSession): ReturnType<LendClient> {
    return this.#facade().lendNew(session)
  }

  #facade(): PgPoolFacade {
    this.#pgPool ??= new PgPoolFacade(this, this.#environment)
    return this.#pgPool
  }

  on<Name extends keyof PoolEvents>(name: Name, listener: (event: PoolEvents[Name]) => void): () => void {
    return this.#environment.events.on(name, listener)
  }

  stats(): PoolStats {
    return poolStats(this.name, this.#environment)
  }

  active(): ActiveConnection[] {
    const { cluster, server } = this.#environment
    return activeConnections([server, ...(cluster?.readers ?? [])])
  }

  health(options?: OperationOptions): Promise<PoolHealth> {
    const { cluster, server } = this.#environment
    return poolHealth([server, ...(cluster?.readers ?? [])], (one) => cluster?.roleOf(one), options)
  }

  evict(mode: EvictMode, options?: OperationOptions): Promise<void> {
    return evictFrom(this.#environment, mode, options)
  }

  pause(options?: OperationOptions): Promise<void> {
    return pauseServers(this.#environment, options)
  }

  resume(): void {
    resumeServers(this.#environment)
  }

  resize(size: PoolSize): void {
    assertKnownOptions(size, sizeNames)
    const { pool } = this.#environment.server
    assertSize(size, pool)
    pool.resize(withoutUndefined(size))
  }

  end(options?: EndOptions): Promise<void> {
    return endPool(this.#environment, this.#listeners, options)
  }

  cancelEnd(): boolean {
    return this.#environment.server.pool.cancelEnd()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }
}
