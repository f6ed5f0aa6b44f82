import type { OperationOptions } from '../base/limit.js'
import type { ErrorClass } from '../errors/classify.js'
import type { Hook } from './hooks.js'
import type { Operable } from './operations.js'

/** What the callback of `withTransaction` gets. Queries on the pool join the transaction as well, without it. */
export interface Transaction extends Operable {
  /** `1` the first time the callback runs, `2` when it runs again, and so on. */
  readonly attempt: number
  /** Why it runs again: the attempts before this one, the first one first. */
  readonly retries: readonly RetryReason[]
  /** How many transactions this one is nested in; `0` for the outermost. */
  readonly depth: number
  /**
   * A savepoint around `fn`: when it fails, what it did is undone and the transaction goes on. Only the outermost
   * transaction retries, as a serialization failure cannot be cured within.
   */
  withTransaction<T>(fn: (tx: Transaction) => Promise<T>, options?: OperationOptions): Promise<T>
  /**
   * Calls `hook` once, when what this level did is known to be committed; never for an attempt that failed. The caller of
   * the outermost `withTransaction` waits for it. What it throws becomes a 'hook-error' event: the commit stands.
   */
  afterCommit(hook: Hook): void
  /** Calls `hook` once, when what this level did is undone for good, and will not be tried again. */
  afterRollback(hook: Hook): void
  /** Calls `hook` once, when it cannot be known whether this level was committed. */
  onUnknown(hook: Hook): void
}

/** An attempt of a transaction that was undone. */
export interface RetryReason {
  readonly attempt: number
  readonly reason: ErrorClass
  /** What the server or the connection has said, whatever the callback has thrown because of it. */
  readonly error: unknown
}

/**
 * A transaction without a callback, to be ended by hand: what ORMs with a begin and a commit of their own stand on.
 * Prefer `withTransaction`, which cannot be forgotten and retries.
 */
export interface ControlledTransaction extends Operable, AsyncDisposable {
  /** Commits. Rejects as `withTransaction` does, and only then was nothing, or nothing certain, committed. */
  commit(): Promise<void>
  /** Rolls back; harmless when the transaction is over. Leaving an `await using` block does the same. */
  rollback(): Promise<void>
}
