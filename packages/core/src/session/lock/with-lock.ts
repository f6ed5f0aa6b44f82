import { type Limit, limitReached } from '../../base/limit.js'
import { givenUp, within } from '../../errors/given-up.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { LockTimeoutError } from '../../errors/lock-errors.js'
import type { Holder } from '../../pool/waiter.js'
import { withCallersStack } from '../queryable.js'
import type { SessionEnvironment } from '../session-environment.js'
import type { HeldLock, LockHandle, LockMode } from './held-lock.js'
import { HeldGrant, type Lock } from './lock.js'
import type { LockGrants } from './lock-grants.js'
import { type LockKey, type ServerKey, serverKeys } from './lock-key.js'
import type { LockNames } from './lock-names.js'
import { type AcquireLockOptions, checkLockOptions, type LockOptions, type TryLockOptions } from './lock-options.js'
import { withTransactionLock } from './transaction-lock.js'

/** What came of an attempt that does not wait. */
export type TryLockResult<T> = { readonly acquired: true; readonly value: T } | { readonly acquired: false }

/** What the functions of this folder work with; one for each pool. */
export interface LockEnvironment extends SessionEnvironment {
  readonly grants: LockGrants
  readonly lockNames: LockNames
}

/**
 * Runs `fn` while holding an advisory lock, and gives it back after. A lock already held around the call, on the same
 * key, is not taken again.
 */
export async function withLock<T>(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  assertFunction(fn)
  try {
    const checked = checkLockOptions(options)
    const keys = serverKeys(key, options.namespace)
    if (options.scope === 'transaction') return await withTransactionLock(environment, keys, fn, checked, options)
    const held = environment.ambient.current?.locks
    const missing = keys.filter((one) => !isHeld(held, one, checked.mode))
    const [first] = keys
    const outer = first === undefined ? undefined : held?.get(first.id)
    if (missing.length === 0 && outer !== undefined) return await fn(outer.handle)
    const { ambient, host } = environment
    const limit = ambient.limitFor(options)
    const holder: Holder = { held: 0, parent: ambient.current?.holder }
    const lock = await take(environment, missing, checked, limit, holder)
    lock.countIn(holder)
    const whole = holding(environment, lock, missing, checked.mode, holder, fn)
    // When time is up the caller gets its answer, but the lock is kept for as long as the callback still runs.
    return await within(whole, limit, host.environment.clock, 'unknown')
  } catch (error) {
    throw withCallersStack(error)
  }
}

/** Like `withLock`, but does not wait: `acquired` is false when somebody else holds the lock. */
export async function tryWithLock<T>(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: TryLockOptions = {},
): Promise<TryLockResult<T>> {
  assertFunction(fn)
  let entered = false
  try {
    const value = await withLock(
      environment,
      key,
      async (lock) => {
        entered = true
        return await fn(lock)
      },
      { ...options, waitMs: 0 },
    )
    return { acquired: true, value }
  } catch (error) {
    // A lock that the callback itself waited for in vain is an error of the callback.
    if (!entered && error instanceof LockTimeoutError) return { acquired: false }
    throw error
  }
}

/** Takes a lock that is given back by hand. It is not ambient: taking it again waits for itself. */
export async function acquireLock(
  environment: LockEnvironment,
  key: LockKey | readonly LockKey[],
  options: AcquireLockOptions = {},
): Promise<Lock> {
  try {
    const { ambient } = environment
    const checked = checkLockOptions(options)
    const keys = serverKeys(key, options.namespace)
    const holder: Holder = { held: 0, parent: ambient.current?.holder }
    return await take(environment, keys, checked, ambient.limitFor(options), holder)
  } catch (error) {
    throw withCallersStack(error)
  }
}

async function take(
  environment: LockEnvironment,
  keys: readonly ServerKey[],
  { mode, waitMs, dedicated }: ReturnType<typeof checkLockOptions>,
  limit: Limit,
  holder: Holder,
): Promise<HeldGrant> {
  const holds = new Set(environment.ambient.current?.locks.keys())
  const grant = await environment.grants.grant({ keys, mode, waitMs, dedicated, holds, limit, holder })
  const lock = new HeldGrant(environment, grant, limit)
  // Granted at the very moment of giving up: nobody is to work under it any more.
  const reached = limitReached(limit, environment.host.environment.clock)
  if (reached === undefined) return lock
  await lock.giveBack()
  throw givenUp(reached, 'cancelled')
}

/** Runs the callback, gives the lock back, and tells the truth about what the callback was promised. */
async function holding<T>(
  { ambient }: LockEnvironment,
  lock: HeldGrant,
  keys: readonly ServerKey[],
  mode: LockMode,
  holder: Holder,
  fn: (lock: LockHandle) => Promise<T>,
): Promise<T> {
  const locks = new Map<string, HeldLock>(ambient.current?.locks)
  for (const { id } of keys) locks.set(id, { mode, handle: lock })
  const [outcome] = await Promise.allSettled([ambient.run({ locks, holder }, async () => await fn(lock))])
  const lost = await lock.giveBack()
  if (lost !== undefined) lost.outcome = outcome
  if (outcome.status === 'rejected') throw outcome.reason
  if (lost !== undefined) throw lost
  return outcome.value
}

function isHeld(held: ReadonlyMap<string, HeldLock> | undefined, key: ServerKey, mode: LockMode): boolean {
  const lock = held?.get(key.id)
  if (lock === undefined) return false
  if (lock.mode === 'shared' && mode === 'exclusive') {
    throw new InvalidOptionError(
      'mode',
      "'exclusive'",
      `'shared', as lock ${key.label} is held shared around this call and would wait for itself`,
    )
  }
  return true
}

function assertFunction(fn: unknown): void {
  if (typeof fn !== 'function') {
    throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function that is given the lock')
  }
}
