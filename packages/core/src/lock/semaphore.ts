import { jitter } from '../deadline/clock.js'
import { type Deadline, noDeadline } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { notedBy } from '../errors/origin.js'
import { DeadlockError, LockTimeoutError } from '../errors/transaction-errors.js'
import { withCallersStack } from '../query/queryable.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import { labelOfName, type ServerKey, serverKeys } from '../sql/lock-key.js'
import type { LockHandle } from '../transaction/held-lock.js'
import { SessionLock } from './lock.js'
import { type CheckedLockOptions, checkLockOptions, type LockOptions } from './options.js'
import { holding, type LockEnvironment } from './with-lock.js'

/** How a permit is acquired. */
export type SemaphoreOptions = Omit<LockOptions, 'mode' | 'scope'>

const names = optionNames<SemaphoreOptions>({
  signal: true,
  timeoutMs: true,
  waitMs: true,
  namespace: true,
  dedicated: true,
})

/** How long to stand in the queue of one permit before the others are tried again, give or take a quarter. */
const tryAgainMs = 250

/**
 * Runs `fn` while holding one of `permits` permits, over all processes: at most that many run at the same time. Each
 * place is a lock; the place of a holder that dies is free at once.
 *
 * Everybody must use the same number of permits for the same name.
 */
export async function withSemaphore<T>(
  environment: LockEnvironment,
  name: string,
  permits: number,
  fn: (lock: LockHandle) => Promise<T>,
  options: SemaphoreOptions = {},
): Promise<T> {
  if (typeof name !== 'string' || name === '') throw new InvalidArgumentError('name', JSON.stringify(name), 'a name')
  if (!(Number.isInteger(permits) && permits >= 1 && permits <= 1_000)) {
    throw new InvalidArgumentError('permits', String(permits), 'a whole number from 1 to 1000')
  }
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
  assertKnownOptions(options, names)
  const { ambient } = environment
  const checked = checkLockOptions(options)
  const deadline = ambient.deadlineFor(options)
  const holder: WorkContext = { held: 0, parent: ambient.current?.holder }
  const permitKeys = Array.from({ length: permits }, (_, permit) => serverKeys(`${name}#${permit}`, options.namespace))
  const label = `${labelOfName(name)} (${permits} permits)`
  const { lock, keys } = await acquirePermit(environment, permitKeys, label, checked, deadline, holder)
  return await holding(environment, lock, keys, 'exclusive', deadline, holder, fn)
}

/** A permit that was acquired. */
interface Permit {
  readonly lock: SessionLock
  readonly keys: readonly ServerKey[]
}

async function acquirePermit(
  environment: LockEnvironment,
  permitKeys: readonly (readonly ServerKey[])[],
  label: string,
  { waitMs, mode, dedicated }: CheckedLockOptions,
  deadline: Deadline,
  holder: WorkContext,
): Promise<Permit> {
  const { clock, random } = environment.server.environment
  const since = clock.now()
  const holds = new Set(environment.ambient.current?.locks.keys())
  const attempt = async (keys: readonly ServerKey[], forMs: number): Promise<Permit | undefined> => {
    try {
      const grant = await environment.grants.grant({
        keys,
        mode,
        waitMs: forMs,
        dedicated,
        holds,
        deadline,
        holder,
      })
      return { lock: new SessionLock(environment, grant, noDeadline), keys }
    } catch (error) {
      if (error instanceof LockTimeoutError) return undefined
      throw withCallersStack(notedBy(error, environment.server.environment, environment.server.address))
    }
  }
  for (;;) {
    // From a random permit on, so that not all stand in front of the first one.
    const from = Math.floor(random() * permitKeys.length)
    const order = [...permitKeys.slice(from), ...permitKeys.slice(0, from)]
    for (const keys of order) {
      const permit = await attempt(keys, 0)
      if (permit !== undefined) return permit
    }
    const left = since + waitMs - clock.now()
    if (left <= 0) throw withCallersStack(new LockTimeoutError(label, clock.now() - since))
    // With one permit there is no other to try, and a wait that is not broken off can be found to be a deadlock.
    const forMs = permitKeys.length === 1 ? left : Math.min(left, jitter(tryAgainMs, 0.25, random))
    const permit = await waitAtOne(order, (keys) => attempt(keys, forMs))
    if (permit !== undefined) return permit
  }
}

/** Waits for the first permit that can come free. When all of them are part of a deadlock, so is the call. */
async function waitAtOne(
  permitKeys: readonly (readonly ServerKey[])[],
  waitAt: (keys: readonly ServerKey[]) => Promise<Permit | undefined>,
): Promise<Permit | undefined> {
  let deadlock: unknown
  for (const keys of permitKeys) {
    try {
      return await waitAt(keys)
    } catch (error) {
      if (!(error instanceof DeadlockError)) throw error
      deadlock = error
    }
  }
  throw deadlock
}
