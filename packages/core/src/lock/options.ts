import { longestServerMs } from '../connection/runtime-settings.js'
import type { OperationOptions } from '../deadline/deadline.js'
import { optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { LockMode } from '../transaction/held-lock.js'

/** How a lock is named and taken. */
export interface LockOptions extends OperationOptions {
  /**
   * How long to wait for the lock while others hold it, in milliseconds; then LockTimeoutError. `0` does not wait.
   *
   * @default Infinity (bounded by `timeoutMs` and `signal` alone)
   */
  readonly waitMs?: number | undefined
  /** @default 'exclusive' */
  readonly mode?: LockMode | undefined
  /** Part of the hash of names; another namespace is another lock. @default 'lifeguard' */
  readonly namespace?: string | undefined
  /**
   * - `session`: held by a session of its own until the callback ends.
   * - `transaction`: taken in a transaction, around `fn` or the one that is open already, and held until that ends. The
   *   only one that works with a transaction pooler in between.
   *
   * @default 'session'
   */
  readonly scope?: 'session' | 'transaction' | undefined
  /**
   * A connection for this lock alone, in place of one that it shares with other locks of this pool: for callbacks that
   * use `withTransaction` of the lock for long.
   *
   * @default false
   */
  readonly dedicated?: boolean | undefined
}

/** Options of a lock that is released by its caller, which is always held by a session. */
export type AcquireLockOptions = Omit<LockOptions, 'scope'>

/** Options of an attempt that does not wait. */
export type TryLockOptions = Omit<LockOptions, 'waitMs' | 'scope'>

const sessionLockNames = { signal: true, timeoutMs: true, mode: true, namespace: true, dedicated: true } as const
/** The names of `LockOptions`. */
export const lockNames = optionNames<LockOptions>({ ...sessionLockNames, waitMs: true, scope: true })
/** The names of `AcquireLockOptions`. */
export const acquireLockNames = optionNames<AcquireLockOptions>({ ...sessionLockNames, waitMs: true })
/** The names of `TryLockOptions`. */
export const tryLockNames = optionNames<TryLockOptions>(sessionLockNames)

/** The options of a lock, checked, with their defaults. */
export interface CheckedLockOptions {
  readonly waitMs: number
  readonly mode: LockMode
  readonly dedicated: boolean
  /** Who waits idles in between, and holds no snapshot, in place of standing in the server's queue. */
  readonly waitsIdle?: boolean
}

/** @throws InvalidArgumentError */
export function checkLockOptions(options: LockOptions): CheckedLockOptions {
  const { waitMs = Number.POSITIVE_INFINITY, mode = 'exclusive', scope, dedicated = false } = options
  const isWait = typeof waitMs === 'number' && waitMs >= 0
  if (!isWait || (waitMs > longestServerMs && waitMs !== Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError('waitMs', String(waitMs), `0 to ${longestServerMs} milliseconds, or Infinity`)
  }
  if (mode !== 'exclusive' && mode !== 'shared') {
    throw new InvalidArgumentError('mode', JSON.stringify(mode), "'exclusive' or 'shared'")
  }
  if (scope !== undefined && scope !== 'session' && scope !== 'transaction') {
    throw new InvalidArgumentError('scope', JSON.stringify(scope), "'session' or 'transaction'")
  }
  return { waitMs, mode, dedicated }
}
