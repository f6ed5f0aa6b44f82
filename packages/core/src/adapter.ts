import type { LockOptions, TryLockOptions } from './lock/options.js'
import type { SemaphoreOptions } from './lock/semaphore.js'
import type { TryLockResult } from './lock/with-lock.js'
import type { Pool } from './pool/pool.js'
import type { LockKey } from './sql/lock-key.js'
import type { LockHandle } from './transaction/held-lock.js'
import type { OptimisticAttempt, OptimisticRetryOptions } from './transaction/optimistic.js'

/**
 * `@pg-lifeguard/core/adapter`: what only adapters of ORMs use. A program that uses the pool, or an adapter, needs none of
 * it.
 */
export {
  isoDate,
  isoTimestamp,
  isoTimestampInUtc,
  momentText,
  readArray,
  readBytes,
  timeInUtc,
} from './connection/text-formats.js'
export {
  assertFlag,
  assertKnownOptions,
  fieldsOf,
  type OptionNames,
  operationNames as limitNames,
  optionNames,
} from './errors/known-options.js'
export { inheritOrigin } from './errors/origin.js'
export { type AdapterPool, adapterPool } from './pool/adapter-pool.js'
export { updateVersionedNames, type VersionedUpdate, versionedUpdate } from './transaction/optimistic.js'
export { assertTransactionOptions } from './transaction/options.js'

/** Methods of a pool as functions of what an ORM calls its db. */
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

/** What every adapter has in the same way, once it knows the pool of a db. */
export function poolMethods<Db>(poolOf: (db: Db) => Pool): PoolMethods<Db> {
  return {
    withLock: async (db, ...args) => await poolOf(db).withLock(...args),
    tryWithLock: async (db, ...args) => await poolOf(db).tryWithLock(...args),
    withSemaphore: async (db, ...args) => await poolOf(db).withSemaphore(...args),
    withOptimisticRetry: async (db, ...args) => await poolOf(db).withOptimisticRetry(...args),
  }
}
