// One install for Kysely: the core comes with it, whole.
export * from '@pg-lifeguard/core'
export { LifeguardDialect, type LifeguardDialectOptions } from './lifeguard-dialect.js'
export { withLock } from './with-lock.js'
export { withOptimisticRetry } from './with-optimistic-retry.js'
export { withTransaction } from './with-transaction.js'
