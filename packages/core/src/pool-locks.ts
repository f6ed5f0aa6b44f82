import type { OperationOptions } from './base/limit.js'
import type { Candidacy, ElectOptions } from './session/lock/elect.js'
import type { LockHandle } from './session/lock/held-lock.js'
import type { Lock } from './session/lock/lock.js'
import type { LockKey } from './session/lock/lock-key.js'
import type { LockListing } from './session/lock/lock-listing.js'
import type { AcquireLockOptions, LockOptions, TryLockOptions } from './session/lock/lock-options.js'
import type { TryLockResult } from './session/lock/with-lock.js'
import type { MigrationLockOptions } from './session/lock/with-migration-lock.js'
import type { SemaphoreOptions } from './session/lock/with-semaphore.js'

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
   * Stands for leader: `fn` runs while this process leads, in one process at a time, and again after every end of a term
   * until the candidacy is stopped or the pool ends. Watch `signal`: it aborts when the lead is lost.
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

  /** Who holds and who waits for which advisory lock of this database, with the names that this process knows. */
  locks(options?: OperationOptions): Promise<LockListing[]>
}
