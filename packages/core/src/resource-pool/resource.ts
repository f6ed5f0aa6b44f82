import type { Clock, Random } from '../deadline/clock.js'
import type { HolderFigures } from '../errors/pool-errors.js'

/** What the pool needs to know about its resources. It knows nothing else about them: no SQL, no sockets. */
export interface ResourceFactory<R> {
  /** Where the resources come from, for messages: `127.0.0.1:5432`. */
  readonly address: string
  /** Opens a new one. Bounds itself in time; a caller who gave up does not cancel it, the end of the pool does. */
  open(signal: AbortSignal): Promise<R>
  /** Closes one in order. Settles when it is closed, in bounded time; never rejects. */
  close(resource: R): Promise<void>
  /**
   * Tears one down at once. Settles when its other side has ended it too, or has had its time to do so; never rejects.
   */
  destroy(resource: R): Promise<void>
  /** What it is used for now, for messages. */
  describe?(resource: R): Omit<HolderFigures, 'heldMs'>
  /** Whether it can still be used, as far as is known without a message to it. */
  isAlive(resource: R): boolean
  /** Whether it is (still) what the pool wants: any other is not used again. @default always */
  suits?(resource: R): boolean
  /** Validates it; false when it did not answer in time. Never rejects. */
  check(resource: R): Promise<boolean>
  /** Whether this failure to open is permanent: wrong password, no such database. */
  isPermanent(error: unknown): boolean
  /**
   * Whether this failure to open is about the one resource alone: the first caller in the queue gets the error, and the
   * next one may be opened. @default never
   */
  isRefusal?(error: unknown): boolean
  /** Called for a connection that is held for too long, or was released after all. */
  onLeak?(leak: LeakReport): void
}

/** A connection that was held for longer than allowed. */
export interface LeakReport {
  /** How long it had been held, in milliseconds. */
  readonly heldMs: number
  /** Where it was acquired. */
  readonly acquireStack: string | undefined
  /** True when it was released after all. */
  readonly returned: boolean
}

/**
 * One place in the pool and the resource in it. The slot itself is what `acquire` gives: no wrapper is made for each
 * acquisition.
 *
 * - `idle`: on the idle stack.
 * - `checking`: being validated for a waiter.
 * - `busy`: in use by a caller.
 * - `closing`: being closed; its place is free once the resource is closed.
 */
export type SlotState = 'idle' | 'checking' | 'busy' | 'closing'

/** A resource with what the pool remembers about it. The other fields are the pool's; `resource` is the caller's. */
export class Slot<R> {
  readonly resource: R
  state: SlotState = 'idle'
  /** The pool's generation when it was opened; an older one is not used again. */
  readonly generation: number
  readonly openedAt: number
  /** When its lifetime is over, jitter included; `Infinity` for never. */
  readonly expiresAt: number
  /** How often it was acquired. */
  uses = 0
  idleSince: number
  busySince = 0
  /** How long its user has waited for it, in milliseconds. */
  waitedMs = 0
  /** Where it was acquired, while leak detection is on. */
  acquireStack: string | undefined = undefined

  constructor(resource: R, generation: number, now: number, expiresAt: number) {
    this.resource = resource
    this.generation = generation
    this.openedAt = now
    this.expiresAt = expiresAt
    this.idleSince = now
  }
}

/**
 * Why a connection was closed.
 *
 * - `idle`: not used for `idleTimeoutMs`.
 * - `lifetime`: older than `maxLifetimeMs`.
 * - `uses`: acquired `maxUses` times.
 * - `evicted`: opened before connections were evicted, in use then or not.
 * - `shrunk`: the pool was made smaller.
 * - `unfit`: its server is not what is wanted any more: it refuses writes, or has another role.
 * - `lost`: it broke, or did not answer its validation.
 * - `discarded`: released as not to be used again, or could not be reset.
 * - `end`: the pool has ended.
 */
export type CloseReason = 'idle' | 'lifetime' | 'uses' | 'evicted' | 'shrunk' | 'unfit' | 'lost' | 'discarded' | 'end'

/** Sees what happens to the resources of a pool. Called in the middle of a change: it must neither throw nor call back. */
export interface PoolObserver<R> {
  /** One was acquired, by a caller who waited so long; `0` for one who did not have to wait. */
  acquired?(slot: Slot<R>, waitedMs: number): void
  /** One that is in use is shared with one more caller, who waited so long. */
  joined?(slot: Slot<R>, waitedMs: number): void
  /** One was released, or destroyed while it was in use. */
  released?(slot: Slot<R>): void
  /** One is being closed. */
  closing?(slot: Slot<R>, reason: CloseReason): void
}

/** From what follows why a resource is closed. */
export interface CloseCircumstances {
  readonly isAlive: boolean
  /** Whether it is what the pool wants. */
  readonly suits: boolean
  /** Whether it is torn down, in place of being closed in order. */
  readonly isDestroyed: boolean
  readonly isEnding: boolean
  /** Whether there are more than there may be, now that the pool was made smaller. */
  readonly isSurplus: boolean
  /** Whether it was to be evicted since it was opened. */
  readonly isEvicted: boolean
  readonly maxUses: number
  readonly now: number
}

/** Why this slot is closed. */
export function closeReason(
  slot: Slot<unknown>,
  { isAlive, suits, isDestroyed, isEnding, isSurplus, isEvicted, maxUses, now }: CloseCircumstances,
): CloseReason {
  if (!isAlive) return 'lost'
  if (isEnding) return 'end'
  if (isEvicted) return 'evicted'
  if (isDestroyed) return 'discarded'
  if (!suits) return 'unfit'
  if (isSurplus) return 'shrunk'
  if (maxUses > 0 && slot.uses >= maxUses) return 'uses'
  return now >= slot.expiresAt ? 'lifetime' : 'idle'
}

/** How often each thing has happened since the pool was made. */
export interface PoolCounts {
  /** Connections that were opened. */
  opened: number
  /** Connections that were closed, for whatever reason. */
  closed: number
  /** Attempts to connect that failed. */
  connectFailed: number
  /** Connections that a caller has acquired. */
  acquired: number
  /** Connections that were released. */
  released: number
  /** Connections that failed their validation. */
  failedValidation: number
  /** Connections held for longer than `leakDetectionMs`. */
  leaks: number
}

/** All zero. */
export function newPoolCounts(): PoolCounts {
  return {
    opened: 0,
    closed: 0,
    connectFailed: 0,
    acquired: 0,
    released: 0,
    failedValidation: 0,
    leaks: 0,
  }
}

/** Time and chance, injected. Each pool has one of its own, by which its errors are known as its own. */
export interface PoolEnvironment {
  readonly clock: Clock
  readonly random: Random
  /** The name of the pool, for errors. */
  readonly poolName?: string | undefined
}
