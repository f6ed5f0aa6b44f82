import { type Limit, tighter } from '../../base/limit.js'
import { jitter } from '../../base/random.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { LockTimeoutError } from '../../errors/lock-errors.js'
import { withCallersStack } from '../queryable.js'
import type { LockHandle } from './held-lock.js'
import { HeldGrant } from './lock.js'
import { serverKeys } from './lock-key.js'
import { checkLockOptions, type LockOptions } from './lock-options.js'
import type { LockEnvironment } from './with-lock.js'

/** How a place is taken. */
export type SemaphoreOptions = Omit<LockOptions, 'mode' | 'scope'>

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
  if (typeof name !== 'string' || name === '') throw new InvalidOptionError('name', JSON.stringify(name), 'a name')
  if (!(Number.isInteger(permits) && permits >= 1 && permits <= 1_000)) {
    throw new InvalidOptionError('permits', String(permits), 'a whole number from 1 to 1000')
  }
  if (typeof fn !== 'function') throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function')
  try {
    const lock = await takePlace(environment, name, permits, options)
    const [outcome] = await Promise.allSettled([environment.ambient.run({}, async () => await fn(lock))])
    const lost = await lock.giveBack()
    if (lost !== undefined) lost.outcome = outcome
    if (outcome.status === 'rejected') throw outcome.reason
    if (lost !== undefined) throw lost
    return outcome.value
  } catch (error) {
    throw withCallersStack(error)
  }
}

async function takePlace(
  { grants, ambient, host, ...rest }: LockEnvironment,
  name: string,
  permits: number,
  options: SemaphoreOptions,
): Promise<HeldGrant> {
  const environment = { grants, ambient, host, ...rest }
  const { waitMs, mode, dedicated } = checkLockOptions(options)
  const { clock, random } = host.environment
  const limit = ambient.limitFor(options)
  const since = clock.now()
  const until: Limit = { deadlineAt: since + waitMs, timeoutMs: waitMs, signal: undefined }
  const bounds = tighter(until, limit)
  const holds = new Set(ambient.current?.locks.keys())
  const places = Array.from({ length: permits }, (_, place) => serverKeys(`${name}#${place}`, options.namespace))
  const holder = { held: 0, parent: ambient.current?.holder }
  const attempt = async (place: number, forMs: number): Promise<HeldGrant | undefined> => {
    const keys = places[place % permits] ?? []
    try {
      const grant = await grants.grant({
        keys,
        mode,
        waitMs: forMs,
        dedicated,
        holds,
        limit: forMs === 0 ? limit : bounds,
        holder,
      })
      return new HeldGrant(environment, grant, limit)
    } catch (error) {
      if (error instanceof LockTimeoutError) return undefined
      throw error
    }
  }
  for (;;) {
    // From a random place on, so that not all stand in front of the first one.
    const from = Math.floor(random() * permits)
    for (let place = 0; place < permits; place++) {
      const lock = await attempt(from + place, 0)
      if (lock !== undefined) return lock
    }
    const left = until.deadlineAt - clock.now()
    if (left <= 0) throw new LockTimeoutError(`${JSON.stringify(name)} (${permits} places)`, clock.now() - since)
    const lock = await attempt(from, Math.min(left, jitter(lookAgainMs, 0.25, random)))
    if (lock !== undefined) return lock
  }
}
