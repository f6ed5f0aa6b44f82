import type { OperationOptions } from '../base/limit.js'
import type { LockMode } from './held-lock.js'

/** How a lock is taken. */
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
}
