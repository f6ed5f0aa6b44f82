import { type Limit, tighter, watchLimit } from '../base/limit.js'
import { classify } from '../errors/classify.js'
import { givenUp, within } from '../errors/given-up.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { DeadlockError, LockLostError, LockTimeoutError } from '../errors/lock-errors.js'
import { OperationTimeoutError } from '../errors/operation-errors.js'
import type { ConnectionSlot } from '../host/host.js'
import type { HeldLock, LockHandle, LockMode } from './held-lock.js'
import { LocalLockQueue } from './local-lock-queue.js'
import { type LockKey, type ServerKey, serverKeys } from './lock-key.js'
import type { LockOptions } from './lock-options.js'
import { withCallersStack } from './queryable.js'
import type { SessionEnvironment } from './session-environment.js'
import { lockSession, unlockAll, unlockSession } from './session-lock.js'

/** What several calls of `withLock` on one pool share. */
export class Locks {
  readonly queue = new LocalLockQueue()
}

/**
 * Runs `fn` while holding an advisory lock in a session of its own, and gives it back after. A lock already held around
 * the call, on the same key, is not taken again.
 *
 * @throws LockTimeoutError, DeadlockError; LockLostError when the session ended while `fn` ran, in which case somebody
 * else may have entered
 */
export async function withLock<T>(
  environment: SessionEnvironment,
  locks: Locks,
  key: LockKey | readonly LockKey[],
  fn: (lock: LockHandle) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const { mode = 'exclusive', waitMs = Number.POSITIVE_INFINITY, namespace } = options
  if (typeof fn !== 'function')
    throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function that is given the lock')
  if (!(typeof waitMs === 'number' && waitMs >= 0))
    throw new InvalidOptionError('waitMs', String(waitMs), '0 or more milliseconds, or Infinity')
  if (mode !== 'exclusive' && mode !== 'shared')
    throw new InvalidOptionError('mode', JSON.stringify(mode), "'exclusive' or 'shared'")
  const keys = serverKeys(key, namespace)
  const held = environment.ambient.current?.locks
  const missing = keys.filter((one) => !isHeld(held, one, mode))
  const [first] = keys
  const outer = first === undefined ? undefined : held?.get(first.id)
  if (missing.length === 0 && outer !== undefined) return await fn(outer.handle)
  try {
    return await new LockCall(environment, locks, missing, mode).run(fn, waitMs, environment.ambient.limitFor(options))
  } catch (error) {
    throw withCallersStack(error)
  }
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

/** One call of `withLock` on its way from the queue to the release. */
class LockCall {
  readonly #environment: SessionEnvironment
  readonly #locks: Locks
  readonly #keys: readonly ServerKey[]
  readonly #mode: LockMode
  readonly #label: string

  constructor(environment: SessionEnvironment, locks: Locks, keys: readonly ServerKey[], mode: LockMode) {
    this.#environment = environment
    this.#locks = locks
    this.#keys = keys
    this.#mode = mode
    this.#label = keys.map(({ label }) => label).join(', ')
  }

  async run<T>(fn: (lock: LockHandle) => Promise<T>, waitMs: number, limit: Limit): Promise<T> {
    const { clock } = this.#environment.host.environment
    const since = clock.now()
    const waiting = tighter({ deadlineAt: since + waitMs, timeoutMs: waitMs, signal: undefined }, limit)
    const leave: (() => void)[] = []
    try {
      // Shared locks may be held together, so they do not stand in line here.
      if (this.#mode === 'exclusive') {
        for (const { id } of this.#keys) leave.push(await this.#enter(id, waiting, waitMs))
      }
      return await this.#onConnection(fn, since, waiting.deadlineAt, limit)
    } finally {
      for (const next of leave.reverse()) next()
    }
  }

  async #enter(id: string, waiting: Limit, waitMs: number): Promise<() => void> {
    try {
      return await this.#locks.queue.enter(id, waiting, this.#environment.host.environment.clock)
    } catch (error) {
      if (error instanceof OperationTimeoutError && error.timeoutMs === waitMs) {
        throw new LockTimeoutError(this.#label, waitMs, { cause: error })
      }
      throw error
    }
  }

  async #onConnection<T>(
    fn: (lock: LockHandle) => Promise<T>,
    since: number,
    waitUntil: number,
    limit: Limit,
  ): Promise<T> {
    const { host, ambient } = this.#environment
    const { clock } = host.environment
    const holder = { held: 0, parent: ambient.current?.holder }
    const slot = host.pool.tryAcquire() ?? (await host.pool.acquire(limit, holder))
    holder.held += 1
    const back = (): void => {
      holder.held -= 1
      host.release(slot)
    }
    let running: Promise<T> | undefined
    try {
      const left = Math.max(0, waitUntil - clock.now())
      const fencingToken = await this.#lock(slot, left, since, limit)
      const lost = new AbortController()
      const grantedAt = clock.now()
      const stopListening = slot.resource.onLost((cause) => {
        lost.abort(
          new LockLostError(this.#label, clock.now() - grantedAt, `its session ended: ${cause.message}`, { cause }),
        )
      })
      const stopWatching = watchLimit(limit, clock, (reason) => lost.abort(givenUp(reason, 'unknown')))
      const handle: LockHandle = { signal: lost.signal, fencingToken }
      const context = { locks: this.#withMine(ambient.current?.locks, handle), holder }
      running = ambient.run(context, async () => await fn(handle))
      const whole = this.#finish(slot, running, lost.signal, grantedAt).finally(() => {
        stopListening()
        stopWatching()
        back()
      })
      // When time is up the caller gets its answer, but the lock is kept for as long as the callback still runs.
      return await within(whole, limit, clock, 'unknown')
    } catch (error) {
      if (running === undefined) back()
      throw error
    }
  }

  /** Takes the locks; when that fails, gives back whichever were granted before anybody else can have the connection. */
  async #lock(slot: ConnectionSlot, left: number, since: number, limit: Limit): Promise<LockHandle['fencingToken']> {
    const connection = slot.resource
    try {
      return await lockSession(connection, this.#keys, this.#mode, left, limit)
    } catch (error) {
      if (connection.isAlive) {
        // A lock may have been granted at the last moment, or some of several. This runs behind a cancel that is under
        // way, and the release of the connection waits for it; the caller does not.
        unlockAll(connection).catch(() => connection.destroy())
      }
      const kind = classify(error)
      if (kind === 'contended') {
        throw new LockTimeoutError(this.#label, this.#environment.host.environment.clock.now() - since, {
          cause: error,
        })
      }
      if (kind === 'deadlock') throw new DeadlockError(this.#label, { cause: error })
      throw error
    }
  }

  /** Waits for the callback, gives the locks back, and tells the truth about what the callback was promised. */
  async #finish<T>(slot: ConnectionSlot, running: Promise<T>, signal: AbortSignal, grantedAt: number): Promise<T> {
    const [outcome] = await Promise.allSettled([running])
    const connection = slot.resource
    const { clock } = this.#environment.host.environment
    let loss = signal.reason instanceof LockLostError ? signal.reason : undefined
    if (loss === undefined) {
      const heldMs = clock.now() - grantedAt
      try {
        const held = await unlockSession(connection, this.#keys, this.#mode)
        if (!held) loss = new LockLostError(this.#label, heldMs, 'its session did not hold it any more at the end')
      } catch (cause) {
        loss = new LockLostError(this.#label, heldMs, 'its session had ended when it was to be given back', { cause })
      }
    }
    if (loss !== undefined) {
      connection.destroy()
      loss.outcome = outcome
    }
    if (outcome.status === 'rejected') throw outcome.reason
    if (loss !== undefined) throw loss
    return outcome.value
  }

  #withMine(outer: ReadonlyMap<string, HeldLock> | undefined, handle: LockHandle): ReadonlyMap<string, HeldLock> {
    const all = new Map(outer)
    for (const { id } of this.#keys) all.set(id, { mode: this.#mode, handle })
    return all
  }
}
