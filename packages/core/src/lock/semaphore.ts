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
import { HeldLock } from './lock.js'
import { type CheckedLockOptions, checkLockOptions, type LockOptions } from './options.js'
import { holding, type LockEnvironment } from './with-lock.js'

/** How a place is taken. */
export type SemaphoreOptions = Omit<LockOptions, 'mode' | 'scope'>

const names = optionNames<SemaphoreOptions>({
  signal: true,
  timeoutMs: true,
  waitMs: true,
  namespace: true,
  dedicated: true,
})

/** How long to stand in the queue of one place before looking at the others again, give or take a quarter. */
const lookAgainMs = 250

/**
 * Runs `fn` while holding one of `permits` places, over all processes: at most that many run at the same time. Each
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
  const places = Array.from({ length: permits }, (_, place) => serverKeys(`${name}#${place}`, options.namespace))
  const label = `${labelOfName(name)} (${permits} places)`
  const { lock, keys } = await acquirePlace(environment, places, label, checked, deadline, holder)
  return await holding(environment, lock, keys, 'exclusive', deadline, holder, fn)
}

/** A place that was taken. */
interface Place {
  readonly lock: HeldLock
  readonly keys: readonly ServerKey[]
}

async function acquirePlace(
  environment: LockEnvironment,
  places: readonly (readonly ServerKey[])[],
  label: string,
  { waitMs, mode, dedicated }: CheckedLockOptions,
  deadline: Deadline,
  holder: WorkContext,
): Promise<Place> {
  const { clock, random } = environment.server.environment
  const since = clock.now()
  const holds = new Set(environment.ambient.current?.locks.keys())
  const attempt = async (keys: readonly ServerKey[], forMs: number): Promise<Place | undefined> => {
    try {
      const grant = await environment.grants.grant({
        keys,
        mode,
        waitMs: forMs,
        dedicated,
        holds,
        deadline: deadline,
        holder,
      })
      return { lock: new HeldLock(environment, grant, noDeadline), keys }
    } catch (error) {
      if (error instanceof LockTimeoutError) return undefined
      throw withCallersStack(notedBy(error, environment.server.environment, environment.server.address))
    }
  }
  for (;;) {
    // From a random place on, so that not all stand in front of the first one.
    const from = Math.floor(random() * places.length)
    const order = [...places.slice(from), ...places.slice(0, from)]
    for (const keys of order) {
      const place = await attempt(keys, 0)
      if (place !== undefined) return place
    }
    const left = since + waitMs - clock.now()
    if (left <= 0) throw withCallersStack(new LockTimeoutError(label, clock.now() - since))
    // With one place there is no other to try, and a wait that is not broken off can be found to be a deadlock.
    const forMs = places.length === 1 ? left : Math.min(left, jitter(lookAgainMs, 0.25, random))
    const place = await waitAtOne(order, (keys) => attempt(keys, forMs))
    if (place !== undefined) return place
  }
}

/** Waits at the first place that can come free. When all of them are part of a deadlock, so is the call. */
async function waitAtOne(
  places: readonly (readonly ServerKey[])[],
  waitAt: (keys: readonly ServerKey[]) => Promise<Place | undefined>,
): Promise<Place | undefined> {
  let deadlock: unknown
  for (const keys of places) {
    try {
      return await waitAt(keys)
    } catch (error) {
      if (!(error instanceof DeadlockError)) throw error
      deadlock = error
    }
  }
  throw deadlock
}
