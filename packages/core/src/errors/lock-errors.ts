import { LifeguardError } from './lifeguard-error.js'

/** The lock was not granted within `waitMs`. */
export class LockTimeoutError extends LifeguardError {
  static override readonly name: string = 'LockTimeoutError'
  readonly code = 'LIFEGUARD_LOCK_TIMEOUT'
  readonly retryable = true
  readonly waitedMs: number

  constructor(lock: string, waitedMs: number, options?: ErrorOptions) {
    super(`lock ${lock} was not granted within ${Math.round(waitedMs)} ms: another session holds it`, options)
    this.waitedMs = waitedMs
  }
}

/**
 * The lock was lost while the callback ran: the session that held it is gone, so another holder may have entered.
 * The handle's `signal` was aborted with this error as soon as it was known.
 */
export class LockLostError extends LifeguardError {
  static override readonly name: string = 'LockLostError'
  readonly code = 'LIFEGUARD_LOCK_LOST'
  readonly retryable = false
  /** How long the lock had been held when the loss was noticed, in milliseconds. */
  readonly heldMs: number
  /** How the callback ended although the lock was lost; undefined while it still runs. */
  outcome: PromiseSettledResult<unknown> | undefined

  constructor(lock: string, heldMs: number, why: string, options?: ErrorOptions) {
    super(`lock ${lock} was lost after ${Math.round(heldMs)} ms: ${why}`, options)
    this.heldMs = heldMs
  }
}

/** The server broke a deadlock (SQLSTATE 40P01) by refusing this lock; `cause` is its error. */
export class DeadlockError extends LifeguardError {
  static override readonly name: string = 'DeadlockError'
  readonly code = 'LIFEGUARD_DEADLOCK'
  readonly retryable = true

  constructor(lock: string, options: { readonly cause: unknown }) {
    super(
      `waiting for lock ${lock} would have been a deadlock; take several locks in one call, they are then sorted`,
      options,
    )
  }
}

/**
 * Session locks mean nothing on this way to the server: a transaction pooler gives each statement to another session, or
 * the server's lock functions do nothing. Use `scope: 'transaction'`, or a connection string that leads to PostgreSQL
 * directly.
 */
export class LockUnsupportedError extends LifeguardError {
  static override readonly name: string = 'LockUnsupportedError'
  readonly code = 'LIFEGUARD_LOCK_UNSUPPORTED'
  readonly retryable = false

  constructor(why: string) {
    super(
      `session locks do not work on this connection: ${why}. Behind a transaction pooler use { scope: 'transaction' }, or connect to PostgreSQL directly`,
    )
  }
}
