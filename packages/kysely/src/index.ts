// One install for Kysely: the core comes with it, whole.
export * from '@pg-lifeguard/core'
export { type Batched, type BatchedResults, batch } from './batch.js'
export { LifeguardDialect, type LifeguardDialectOptions } from './lifeguard-dialect.js'
export { tryWithLock, withLock, withOptimisticRetry, withSemaphore, withTransaction } from './pool-methods.js'
export { type AnyKysely, poolOf } from './pool-of.js'
export { updateVersioned } from './update-versioned.js'
