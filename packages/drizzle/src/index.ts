// One install for Drizzle: the core comes with it, whole.
export * from '@pg-lifeguard/core'
export { type Batched, type BatchedResults, batch } from './batch.js'
export { type DrizzleOptions, drizzle, type LifeguardDatabase, type Schema } from './drizzle.js'
export { tryWithLock, withLock, withOptimisticRetry, withSemaphore, withTransaction } from './pool-methods.js'
export { type AnyDatabase, poolOf, type TransactionOf } from './pool-of.js'
export { updateVersioned, type VersionedUpdateOptions } from './update-versioned.js'
