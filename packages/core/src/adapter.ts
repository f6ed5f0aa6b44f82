import { InvalidArgumentError } from './errors/lifeguard-error.js'
import type { LockOptions, TryLockOptions } from './lock/options.js'
import type { SemaphoreOptions } from './lock/semaphore.js'
import type { TryLockResult } from './lock/with-lock.js'
import type { Pool } from './pool/pool.js'
import type { LockKey } from './sql/lock-key.js'
import type { LockHandle } from './transaction/held-lock.js'
import type { OptimisticAttempt, OptimisticRetryOptions } from './transaction/optimistic.js'

/** Methods of a pool as functions of what an ORM calls its db. @internal */
export interface PoolMethods<Db> {
  withLock<T>(
    db: Db,
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: LockOptions,
  ): Promise<T>
  tryWithLock<T>(
    db: Db,
    key: LockKey | readonly LockKey[],
    fn: (lock: LockHandle) => Promise<T>,
    options?: TryLockOptions,
  ): Promise<TryLockResult<T>>
  withSemaphore<T>(
    db: Db,
    name: string,
    permits: number,
    fn: (lock: LockHandle) => Promise<T>,
    options?: SemaphoreOptions,
  ): Promise<T>
  withOptimisticRetry<T>(
    db: Db,
    fn: (attempt: OptimisticAttempt) => Promise<T>,
    options?: OptimisticRetryOptions,
  ): Promise<T>
}

/**
 * Refuses what is no pool of this house, such as a `pg.Pool` or a URL. For adapters.
 *
 * @throws InvalidArgumentError
 * @internal
 */
export function assertPool(pool: unknown): asserts pool is Pool {
  if (typeof (pool as Partial<Pool> | null | undefined)?.beginTransaction === 'function') return
  throw new InvalidArgumentError(
    'pool',
    pool === null ? 'null' : `of type ${typeof pool}`,
    'a pool made by createPool()',
  )
}

/**
 * What every adapter has in the same way, once it can tell the pool of a db. For adapters.
 *
 * @internal
 */
export function poolMethods<Db>(poolOf: (db: Db) => Pool): PoolMethods<Db> {
  return {
    withLock: async (db, key, fn, options) => await poolOf(db).withLock(key, fn, options),
    tryWithLock: async (db, key, fn, options) => await poolOf(db).tryWithLock(key, fn, options),
    withSemaphore: async (db, name, permits, fn, options) => await poolOf(db).withSemaphore(name, permits, fn, options),
    withOptimisticRetry: async (db, fn, options) => await poolOf(db).withOptimisticRetry(fn, options),
  }
}
