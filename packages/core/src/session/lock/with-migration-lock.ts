import { assertKnownOptions, fieldsOf, optionNames } from '../../errors/known-options.js'
import type { LockHandle } from './held-lock.js'
import { checkLockOptions, type LockOptions } from './lock-options.js'
import { type LockEnvironment, locked } from './with-lock.js'

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
 * transaction, and who waits holds no snapshot: CREATE INDEX CONCURRENTLY waits for neither. So nobody stands in the
 * server's queue, and who comes next is not said: whoever waits is woken when the lock is given back, and looks every
 * second besides.
 */
export async function withMigrationLock<T>(
  environment: LockEnvironment,
  fn: (lock: LockHandle) => Promise<T>,
  options: MigrationLockOptions = {},
): Promise<T> {
  assertKnownOptions(options, names)
  const { name = 'migrations', ...rest } = fieldsOf(options)
  const how = { ...rest, dedicated: true }
  return await locked(environment, name, fn, how, { ...checkLockOptions(how), waitsIdle: true })
}
