// One install for Kysely: the core comes with it, whole.
export * from '@pg-lifeguard/core'
export { LifeguardDialect, type LifeguardDialectOptions } from './lifeguard-dialect.js'
export { tryWithLock } from './try-with-lock.js'
export { withLock } from './with-lock.js'
export { withOptimisticRetry } from './with-optimistic-retry.js'
export { withSemaphore } from './with-semaphore.js'
export { withTransaction } from './with-transaction.js'
