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
   * hook that throws changes nothing about the outcome: `onError` is told.
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
