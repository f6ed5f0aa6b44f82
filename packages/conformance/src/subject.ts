import type {
  IsolationLevel,
  LockHandle,
  LockOptions,
  OperationOptions,
  OptimisticAttempt,
  OptimisticRetryOptions,
  Pool,
  SemaphoreOptions,
  Transaction,
  TransactionOptions,
  TryLockOptions,
  TryLockResult,
} from '@pg-lifeguard/core'
import type { Item, ItemChanges, NewItem, Sample } from './schema.js'

/** What an adapter supplies to be put through the cases. */
export interface Subject {
  /** As in the names of the tests. */
  readonly name: string
  /**
   * The cases that do not apply, each by its name, with the reason why; the reason is for people who use the adapter.
   * Everything else is run.
   */
  readonly absent: Readonly<Record<string, string>>
  /** The ORM on a pool, as its users would set it up. */
  open(pool: Pool): Handle | Promise<Handle>
}

/** The ORM's own way to work on one row of `item`, and to run SQL: on a pool, or inside of one of its transactions. */
export interface Statements {
  /** How many rows it was, as the ORM says. */
  insert(item: NewItem): Promise<number>
  find(id: number): Promise<Item | undefined>
  /** How many rows it was, as the ORM says. */
  update(id: number, changes: ItemChanges): Promise<number>
  /** How many rows it was, as the ORM says. */
  delete(id: number): Promise<number>
  /** Any SQL, with `$1` where a value goes, through the ORM. */
  query<Row>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>
}

/** An ORM on a pool. Members with the name of a helper are the adapter's own helper. */
export interface Handle extends Statements {
  /** Inserts a row of `sample`, typed by the ORM. */
  writeSample(sample: Sample): Promise<unknown>
  readSample(id: number): Promise<Sample | undefined>

  withTransaction<T>(
    fn: (tx: Statements, transaction: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>
  /**
   * Every kind of transaction that the ORM begins by itself, by the name of its method: runs these texts in one, which it
   * commits.
   */
  readonly ownTransactions: Readonly<Record<string, (texts: readonly string[]) => Promise<unknown>>>
  /** What the ORM's users call a transaction without this house. */
  ownTransaction<T>(fn: (tx: Statements) => Promise<T>, isolation?: IsolationLevel): Promise<T>
  withLock<T>(key: string, fn: (lock: LockHandle) => Promise<T>, options?: LockOptions): Promise<T>
  tryWithLock<T>(key: string, fn: (lock: LockHandle) => Promise<T>, options?: TryLockOptions): Promise<TryLockResult<T>>
  withSemaphore<T>(
    name: string,
    permits: number,
    fn: (lock: LockHandle) => Promise<T>,
    options?: SemaphoreOptions,
  ): Promise<T>
  withOptimisticRetry<T>(fn: (attempt: OptimisticAttempt) => Promise<T>, options?: OptimisticRetryOptions): Promise<T>
  updateVersioned(
    key: { readonly id: number; readonly version: number },
    changes: ItemChanges,
    options?: OperationOptions,
  ): Promise<Item>
  /** Inserts the items and then reads one, as one batch. */
  batch?(items: readonly NewItem[], find: number, options?: OperationOptions): Promise<Item | undefined>
  /** Runs SQL that `signal` aborts, where the ORM has a way to say so for one query. */
  abortable?(text: string, signal: AbortSignal): Promise<unknown>
  /** Closes what the ORM keeps open; the pool is not its own. */
  close(): Promise<void>
}
