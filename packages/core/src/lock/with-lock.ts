import { Deadline, noDeadline } from '../deadline/deadline.js'
import { assertKnownOptions, fieldsOf, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError, isInstance } from '../errors/lifeguard-error.js'
import { notedBy } from '../errors/origin.js'
import { LockTimeoutError } from '../errors/transaction-errors.js'
import { withCallersStack } from '../query/queryable.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import { type LockKey, type ServerKey, serverKeys } from '../sql/lock-key.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import type { AmbientLock, LockHandle, LockMode } from '../transaction/held-lock.js'
import type { Elections } from './elections.js'
import type { LockGrants, LockNames } from './grants.js'
import { type Lock, SessionLock } from './lock.js'
import {
  type AcquireLockOptions,
  acquireLockNames,
  type CheckedLockOptions,
  checkLockOptions,
  type LockOptions,
  lockNames as lockOptionNames,
  type TryLockOptions,
  tryLockNames,
} from './options.js'
import { withTransactionLock } from './transaction-lock.js'

/** What came of an attempt that does not wait. */
export type TryLockResult<T> = { readonly acquired: true; readonly value: T } | { readonly acquired: false }

/** What the functions of this folder work with; one for each pool. */
export interface LockEnvironment extends SessionEnvironment {
  readonly grants: LockGrants
  readonly lockNames: LockNames
  /** The candidacies that end with the pool. */
  readonly elections: Elections
}

/**
 * Runs `fn` while holding an advisory lock, and releases it afterwards. A lock already held around the call, on the same
 * key, is not taken again.
 */
export async function withLock<T>(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  assertKnownOptions(options, lockOptionNames)
  return await locked(environment, key, fn, options, checkLockOptions(options))
}

/** The same once the options are checked. */
export async function locked<T>(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: LockOptions,
  checked: CheckedLockOptions,
): Promise<T> {
  assertFunction(fn)
  const keys = serverKeys(key, options.namespace)
  const { ambient } = environment
  const held = ambient.current?.locks
  const missing = keys.filter((one) => !isHeld(held, one, checked.mode))
  const outer = keys.map(({ id }) => held?.get(id)).find((lock) => lock?.kind === 'held')
  if (options.scope === 'transaction') {
    const { deadlocks } = environment.grants
    return await withTransactionLock(environment, deadlocks, missing, outer?.handle, fn, checked, options)
  }
  if (missing.length === 0 && outer !== undefined) return await fn(outer.handle)
  const deadline = ambient.deadlineFor(options)
  const holder: WorkContext = { held: 0, parent: ambient.current?.holder }
  const lock = await acquireKeys(environment, missing, checked, deadline, noDeadline, holder)
  return await holding(environment, lock, missing, checked.mode, deadline, holder, fn)
}

/** Like `withLock`, but does not wait: `acquired` is false when somebody else holds the lock. */
export async function tryWithLock<T>(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: TryLockOptions = {},
): Promise<TryLockResult<T>> {
  assertFunction(fn)
  assertKnownOptions(options, tryLockNames)
  let entered = false
  try {
    const value = await withLock(
      environment,
      key,
      async (lock) => {
        entered = true
        return await fn(lock)
      },
      { ...fieldsOf(options), waitMs: 0 },
    )
    return { acquired: true, value }
  } catch (error) {
    // A lock that the callback itself waited for in vain is an error of the callback.
    if (!entered && isInstance(error, LockTimeoutError)) return { acquired: false }
    throw error
  }
}

/** Acquires a lock that the caller releases. It is not ambient: taking it again waits for itself. */
export async function acquireLock(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  options: AcquireLockOptions = {},
): Promise<Lock> {
  assertKnownOptions(options, acquireLockNames)
  const { ambient } = environment
  const checked = checkLockOptions(options)
  const keys = serverKeys(key, options.namespace)
  const holder: WorkContext = { held: 0, parent: ambient.current?.holder }
  const deadline = ambient.deadlineFor(options)
  // `timeoutMs` is about getting the lock; how long it is held is for the caller to say.
  return await acquireKeys(environment, keys, checked, deadline, Deadline.ofSignal(deadline.signal), holder)
}

async function acquireKeys(
  environment: LockEnvironment,
  keys: readonly ServerKey[],
  checked: CheckedLockOptions,
  deadline: Deadline,
  whileHeld: Deadline,
  holder: WorkContext,
): Promise<SessionLock> {
  const holds = new Set(environment.ambient.current?.locks.keys())
  try {
    const grant = await environment.grants.grant({ keys, ...checked, holds, deadline, holder })
    return new SessionLock(environment, grant, whileHeld)
  } catch (error) {
    throw withCallersStack(notedBy(error, environment.server.environment, environment.server.address))
  }
}

/** Runs the callback and releases the lock; rejects when the lock was lost meanwhile. */
export async function holding<T>(
  { ambient, server }: LockEnvironment,
  lock: SessionLock,
  keys: readonly ServerKey[],
  mode: LockMode,
  deadline: Deadline,
  holder: WorkContext,
  fn: (lock: LockHandle) => Promise<T>,
): Promise<T> {
  lock.countIn(holder)
  const locks = new Map<string, AmbientLock>(ambient.current?.locks)
  for (const { id } of keys) locks.set(id, { kind: 'held', mode, handle: lock })
  const work = async (): Promise<T> => {
    const [outcome] = await Promise.allSettled([ambient.run({ locks, holder }, async () => await fn(lock))])
    const lost = await lock.releaseOnce()
    if (lost !== undefined) lost.outcome = outcome
    if (outcome.status === 'rejected') throw outcome.reason
    if (lost !== undefined) throw withCallersStack(lost)
    return outcome.value
  }
  // When time is up the caller gets its answer, but the lock is kept for as long as the callback still runs.
  try {
    return await deadline.within(work(), 'unknown', server.environment)
  } catch (error) {
    lock.answered(error)
    throw error
  }
}

function isHeld(held: ReadonlyMap<string, AmbientLock> | undefined, key: ServerKey, mode: LockMode): boolean {
  const lock = held?.get(key.id)
  if (lock?.kind !== 'held') return false
  if (lock.mode === 'shared' && mode === 'exclusive') {
    throw new InvalidArgumentError(
      'mode',
      "'exclusive'",
      `'shared', as lock ${key.label} is held shared around this call and would wait for itself`,
    )
  }
  return true
}

function assertFunction(fn: unknown): void {
  if (typeof fn !== 'function') {
    throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function that is given the lock')
  }
}

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
 * server's queue, and who comes next is not said: a waiter is woken when the lock is released, and tries every
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
