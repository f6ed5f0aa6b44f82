import type { Slot } from './slot.js'

/**
 * Why a connection was closed.
 *
 * - `idle`: not used for `idleTimeoutMs`.
 * - `lifetime`: older than `maxLifetimeMs`.
 * - `uses`: handed out `maxUses` times.
 * - `flushed`: opened before the pool was flushed, in use then or not.
 * - `shrunk`: the pool was made smaller.
 * - `unfit`: its server is not what is wanted any more: it refuses writes, or has another role.
 * - `lost`: it broke, or gave no sign of life.
 * - `discarded`: given back as not to be used again, or could not be made clean.
 * - `end`: the pool has ended.
 */
export type CloseReason = 'idle' | 'lifetime' | 'uses' | 'flushed' | 'shrunk' | 'unfit' | 'lost' | 'discarded' | 'end'

/** Told by the pool what happens to its resources. Called in the middle of a change: it must neither throw nor call back. */
export interface PoolObserver<R> {
  /** One was handed out, to a caller who waited so long; `0` for one who did not have to wait. */
  acquired?(slot: Slot<R>, waitedMs: number): void
  /** One that is in use was given to one more caller of its kind, who waited so long. */
  joined?(slot: Slot<R>, waitedMs: number): void
  /** One came back, or was taken away. */
  released?(slot: Slot<R>): void
  /** One is on its way out. */
  closing?(slot: Slot<R>, reason: CloseReason): void
}

/** What tells why a resource must not be used again. */
export interface CloseCircumstances {
  readonly isAlive: boolean
  /** Whether it is what the pool wants. */
  readonly suits: boolean
  /** Whether it is torn down, in place of being closed in peace. */
  readonly isDropped: boolean
  readonly isEnding: boolean
  /** Whether there are more than there may be, now that the pool was made smaller. */
  readonly isSurplus: boolean
  /** Whether the pool was flushed since it was opened. */
  readonly isFlushed: boolean
  readonly maxUses: number
  readonly now: number
}

/** Why this slot goes. */
export function closeReason(
  slot: Slot<unknown>,
  { isAlive, suits, isDropped, isEnding, isSurplus, isFlushed, maxUses, now }: CloseCircumstances,
): CloseReason {
  if (!isAlive) return 'lost'
  if (isEnding) return 'end'
  if (isFlushed) return 'flushed'
  if (isDropped) return 'discarded'
  if (!suits) return 'unfit'
  if (isSurplus) return 'shrunk'
  if (maxUses > 0 && slot.uses >= maxUses) return 'uses'
  return now >= slot.expiresAt ? 'lifetime' : 'idle'
}
