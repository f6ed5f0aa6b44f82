import type { FencingToken, LockMode } from './lock-sql.js'
import type { TransactionOptions } from './options.js'
import type { Transaction } from './transaction.js'

export type { FencingToken, LockMode }

/** What whoever holds a lock has in hand. */
export interface LockHandle {
  /**
   * Aborted as soon as the lock is known to be lost, with a LockLostError as its reason; and when the call's own
   * `signal` or `timeoutMs` says so. Hand it on to whatever is done outside of the database under the lock.
   */
  readonly signal: AbortSignal
  /**
   * Grows with every time that any lock is granted, on one timeline of the server: a store that remembers the greatest
   * token it has seen can turn away a holder that has lost its lock without knowing. Compare `timeline` first.
   */
  readonly fencingToken: FencingToken
  /**
   * A transaction on the very session that holds the lock: when the lock is lost, so is the session, and nothing of the
   * transaction can be committed any more. Other locks on the same session wait for it; `dedicated: true` gives a lock
   * a session of its own.
   */
  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
}

/** What code that runs under locks has to know of a key. */
export type AmbientLock = {
  /** Set while that code runs in a transaction on the session that holds the key. */
  readonly on?: object | undefined
} & (
  | { readonly kind: 'held'; readonly mode: LockMode; readonly handle: LockHandle }
  /** Held by others, who cannot release it before the transaction on their session is over. */
  | { readonly kind: 'beside' }
)
