// One install for Prisma: the core comes with it, whole. `updateVersioned` is Prisma's own, typed by its models.
export * from '@pg-lifeguard/core'
export { LifeguardAdapter, type LifeguardAdapterOptions, lifeguardAdapter } from './lifeguard-adapter.js'
export { type LifeguardExtension, type LifeguardMembers, lifeguard } from './lifeguard-extension.js'
export {
  type TransactionClient,
  tryWithLock,
  withLock,
  withOptimisticRetry,
  withSemaphore,
  withTransaction,
} from './pool-methods.js'
export { type ExtendedClient, poolOf } from './pool-of.js'
export {
  type RowOf,
  updateVersioned,
  type VersionedChanges,
  type VersionedKey,
  type VersionedModel,
  type VersionedUpdateOptions,
} from './update-versioned.js'
