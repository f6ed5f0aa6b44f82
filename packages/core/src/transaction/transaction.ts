import type { OperationOptions } from '../deadline/deadline.js'
import type { ErrorClass } from '../errors/classify.js'
import type { Operable } from '../query/operations.js'

/** What a transaction may call once it is settled. */
export type HookName = 'afterCommit' | 'afterRollback' | 'onUnknown'

/** A function to be called after a transaction; it may be asynchronous. */
export type Hook = () => unknown

/**
 * The hooks of one level of a transaction. A nested level hands its hooks up when it is released; when it is rolled
 * back only what was to run after a rollback is left, and waits for the end of the whole.
 */
export class Hooks {
  readonly #byName: Record<HookName, Hook[]> = { afterCommit: [], afterRollback: [], onUnknown: [] }
  /** Of nested levels that were rolled back: they run whatever becomes of the rest. */
  readonly #always: Hook[] = []

  add(name: HookName, hook: Hook): void {
    this.#byName[name].push(hook)
  }

  /** A nested level was released: what it did is now part of this level. */
  takeReleased(nested: Hooks): void {
    for (const name of ['afterCommit', 'afterRollback', 'onUnknown'] as const) {
      this.#byName[name].push(...nested.#byName[name])
    }
    this.#always.push(...nested.#always)
  }

  /** A nested level was rolled back: what it did is undone for good. */
  takeRolledBack(nested: Hooks): void {
    this.#always.push(...nested.#byName.afterRollback, ...nested.#always)
  }

  /**
   * Runs what is due at the end of the outermost level, one after the other in the order in which it was registered. A
   * hook that throws changes nothing about the outcome: `onError` is called.
   */
  async run(name: HookName, onError: (hook: HookName, error: unknown) => void): Promise<void> {
    for (const [kind, hooks] of [['afterRollback', this.#always] as const, [name, this.#byName[name]] as const]) {
      for (const hook of hooks) {
        try {
          await hook()
        } catch (error) {
          onError(kind, error)
        }
      }
    }
  }

  get isEmpty(): boolean {
    return this.#always.length === 0 && Object.values(this.#byName).every(({ length }) => length === 0)
  }
}

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
 * A transaction without a callback, which its caller ends: what ORMs with a begin and a commit of their own stand on.
 * Prefer `withTransaction`, which cannot be forgotten and retries.
 */
export interface ManualTransaction extends Operable, AsyncDisposable {
  /** Commits. Rejects as `withTransaction` does, and only then was nothing, or nothing certain, committed. */
  commit(): Promise<void>
  /** Rolls back; harmless when the transaction is over. Leaving an `await using` block does the same. */
  rollback(): Promise<void>
}
