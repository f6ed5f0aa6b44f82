import { assertKnownOptions, optionNames } from '../../errors/known-options.js'
import type { LockHandle } from './held-lock.js'
import type { LockOptions } from './lock-options.js'
import { type LockEnvironment, withLock } from './with-lock.js'

/** How the one who migrates is found. */
export interface MigrationLockOptions extends Omit<LockOptions, 'mode' | 'scope' | 'dedicated'> {
  /** One lock for each set of migrations. @default 'migrations' */
  readonly name?: string | undefined
}

const names = optionNames<MigrationLockOptions>({
  signal: true,
  timeoutMs: true,
  waitMs: true,
  namespace: true,
  name: true,
})

/**
 * Runs `fn` in one process at a time: for deploys in which every instance starts with the migrations, with whatever
 * tool. The others wait, and then run theirs, which finds nothing left to do. The lock is on a session that is not in a
 * transaction, so that CREATE INDEX CONCURRENTLY does not wait for it.
 */
export async function withMigrationLock<T>(
  environment: LockEnvironment,
  fn: (lock: LockHandle) => Promise<T>,
  options: MigrationLockOptions = {},
): Promise<T> {
  assertKnownOptions(options, names)
  const { name = 'migrations', ...rest } = options
  return await withLock(environment, name, fn, { ...rest, dedicated: true })
}
