import type { Readable } from 'node:stream'
import { type Limit, limitReached, type OperationOptions } from './base/limit.js'
import { isReadOnlyText } from './cluster/read-rule.js'
import { beginRefused } from './errors/begin-refused.js'
import { assertKnownOptions, limitNames, optionNames } from './errors/known-options.js'
import { ownedBy } from './errors/origin.js'
import { PoolClosedError } from './errors/pool-errors.js'
import { flushHosts, pauseHosts, resumeHosts } from './every-host.js'
import { terminateSession } from './host/terminate-session.js'
import { PgPoolFacade } from './pg-pool-facade.js'
import type { FlushMode } from './pool/flush-mode.js'
import type { PoolSize } from './pool/pool-limits.js'
import type { Pool } from './pool.js'
import { type ActiveConnection, activeConnections } from './pool-active.js'
import type { EndOptions } from './pool-end.js'
import { endPool } from './pool-end.js'
import type { PoolEvents } from './pool-events.js'
import { type PoolHealth, poolHealth } from './pool-health.js'
import { assertSize, withoutUndefined } from './pool-options.js'
import type { PoolStats } from './pool-stats.js'
import { poolStats } from './pool-stats.js'
import { adopting, takeAdopted } from './session/adopted-transaction.js'
import { type Deadline, withDeadline } from './session/ambient-deadline.js'
import { type BatchTaskResults, type BatchTasks, batchTogether } from './session/batch-together.js'
import { causalToken, withCausality } from './session/causality.js'
import { beginTransaction, type ControlledTransactionOptions } from './session/controlled-transaction.js'
import { type CopyOrigin, type CopyToOptions, copyTo } from './session/copy/copy-to.js'
import { endedError } from './session/ended-transaction.js'
import { executeJoined } from './session/execute-joined.js'
import { type FanOutResults, type FanOutTasks, fanOut } from './session/fan-out.js'
import { type ConcurrencyOptions, forEachConcurrent } from './session/for-each-concurrent.js'
import { refusal } from './session/joined-session.js'
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
import type { LendClient } from './session/new-connection.js'
import { Operations } from './session/operations.js'
import type { PgSession } from './session/pg-session.js'
import { AcquiredConnection, type PooledConnection } from './session/pooled-connection.js'
import type { StreamOptions } from './session/portal.js'
import { withCallersStack } from './session/queryable.js'
import { type ReadOptions, read } from './session/read.js'
import { executorFromHere, streamBatches } from './session/stream.js'
import type { ControlledTransaction, Transaction } from './session/transaction.js'
import type { IsolationLevel, TransactionOptions } from './session/transaction-options.js'
import { type UpdateVersionedOptions, updateVersioned } from './session/update-versioned.js'
import { Fallback, type FallbackOptions, type FallbackResult } from './session/with-fallback.js'
import {
  type OptimisticAttempt,
  type OptimisticRetryOptions,
  withOptimisticRetry,
} from './session/with-optimistic-retry.js'
import { withTransaction } from './session/with-transaction.js'
import { textEffects } from './sql/text-effects.js'
import type { ExchangeConfig } from './wire/exchange.js'
import type { PgPool } from './wire/pg-shapes.js'
import type { QueryResult } from './wire/query-result.js'
import type { StatementConfig } from './wire/statement.js'
import { transactionControl } from './wire/transaction-control.js'

const sizeNames = optionNames<PoolSize>({ max: true, min: true })

/** The pool: every method hands on to the function that does the work, with what the parts of the pool share. */
export class LifeguardPool extends Operations implements Pool {
  readonly name: string
  readonly #environment: LockEnvironment
  readonly #fallback: Fallback
  readonly #listeners: Listeners
  #pgPool: PgPoolFacade | undefined

  constructor(name: string, environment: LockEnvironment, listeners: Listeners) {
    super(environment.ambient)
    this.name = name
    this.#environment = environment
    this.#listeners = listeners
    this.#fallback = new Fallback(environment)
  }

  execute(config: StatementConfig | ExchangeConfig, limit: Limit): Promise<QueryResult> {
    return executeJoined(this.#environment, config, limit)
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
    assertKnownOptions(options, limitNames)
    const { ambient, host } = this.#environment
    const holder = ambient.current?.holder
    try {
      const limit = ambient.limitFor(options)
      const isOver = limitReached(limit, host.environment.clock) !== undefined
      const slot = (isOver ? undefined : host.tryTake(holder)) ?? (await host.take(limit, holder))
      return new AcquiredConnection(this.#environment, slot)
    } catch (error) {
      throw withCallersStack(error)
    }
  }

  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    return withTransaction(this.#environment, fn, options)
  }

  async beginTransaction(options?: ControlledTransactionOptions): Promise<ControlledTransaction> {
    if (this.#environment.host.pool.isEnding) {
      throw ownedBy(new PoolClosedError('cannot begin a transaction'), this.#environment.host.environment)
    }
    return await beginTransaction(this.#environment, options)
  }

  get currentTransaction(): Transaction | undefined {
    const transaction = this.#environment.ambient.current?.transaction
    if (transaction?.isOver === true) throw endedError(transaction)
    return transaction
  }

  get context(): object | undefined {
    return this.#environment.ambient.current
  }

  get openIsolation(): IsolationLevel | undefined {
    return this.#environment.ambient.current?.transaction?.begun.isolation
  }

  isReadOnly(text: string): boolean {
    return this.#environment.cluster?.allows(text) ?? isReadOnlyText(text)
  }

  adopting<T>(transaction: Transaction, fn: () => Promise<T>): Promise<T> {
    return adopting(this.#environment.ambient, transaction, fn)
  }

  beginInTurn(options?: ControlledTransactionOptions): Promise<ControlledTransaction> {
    return beginTransaction(this.#environment, options, true)
  }

  assertNoControl(text: string): void {
    const control = transactionControl(text)
    if (control !== undefined) throw refusal(control.kind)
  }

  assertEndsWhatItBegins(text: string): void {
    if (textEffects(text).leavesOpen) throw beginRefused()
  }

  terminateSession(pid: number): Promise<void> {
    return terminateSession(this.#environment.host, pid)
  }

  own<E>(error: E): E {
    return ownedBy(error, this.#environment.host.environment)
  }

  takeAdopted(): Transaction | undefined {
    return takeAdopted(this.#environment.ambient)
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

  async locks(options?: OperationOptions): Promise<LockListing[]> {
    assertKnownOptions(options, limitNames)
    const { host, lockNames, ambient } = this.#environment
    return await listLocks(host, lockNames, ambient.limitFor(options))
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
    return updateVersioned<Row>(this, table, key, changes, options)
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

  withDeadline<T>(
    timeoutMs: number,
    fn: (deadline: Deadline) => Promise<T>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T> {
    return withDeadline(this.#environment, timeoutMs, fn, options)
  }

  fanOut<Tasks extends FanOutTasks>(tasks: Tasks, options?: OperationOptions): Promise<FanOutResults<Tasks>> {
    return fanOut(this.#environment, tasks, options)
  }

  forEachConcurrent<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, index: number, deadline: Deadline) => Promise<T>,
    options?: ConcurrencyOptions,
  ): Promise<T[]> {
    return forEachConcurrent(this.#environment, this.#environment.host.pool.max, items, fn, options)
  }

  withFallback<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>> {
    return this.#fallback.get(key, fn, options)
  }

  asPgPool(): PgPool {
    return this.#facade() as unknown as PgPool
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
    const { cluster, host } = this.#environment
    return activeConnections([host, ...(cluster?.readers ?? [])])
  }

  health(options?: OperationOptions): Promise<PoolHealth> {
    const { cluster, host } = this.#environment
    return poolHealth([host, ...(cluster?.readers ?? [])], (one) => cluster?.roleOf(one), options)
  }

  flush(mode: FlushMode, options?: OperationOptions): Promise<void> {
    return flushHosts(this.#environment, mode, options)
  }

  pause(options?: OperationOptions): Promise<void> {
    return pauseHosts(this.#environment, options)
  }

  resume(): void {
    resumeHosts(this.#environment)
  }

  resize(size: PoolSize): void {
    assertKnownOptions(size, sizeNames)
    const { pool } = this.#environment.host
    assertSize(size, pool)
    pool.resize(withoutUndefined(size))
  }

  end(options?: EndOptions): Promise<void> {
    return endPool(this.#environment, this.#listeners, options)
  }

  cancelEnd(): boolean {
    return this.#environment.host.pool.cancelEnd()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }
}
