/** Somebody who waits for a lock while holding others. */
export interface LockWait {
  /** The key that is waited for. */
  readonly waitsFor: string
  /** The keys that are held by the code that waits, and cannot be given back before it goes on. */
  readonly holds: ReadonlySet<string>
  /** Names the wait to all processes; empty for one of another program. */
  readonly id: string
}

/**
 * Who waits for whom. The server finds deadlocks between sessions; but the locks of one line of work may be on several
 * sessions, or waited for inside this process, and then only their holder knows that they belong together.
 */
export class LockWaits {
  readonly #waits = new Set<LockWait>()

  add(wait: LockWait): void {
    this.#waits.add(wait)
  }

  delete(wait: LockWait): void {
    this.#waits.delete(wait)
  }

  /** Every wait of this process. */
  get all(): readonly LockWait[] {
    return [...this.#waits]
  }
}

/**
 * The waits that lead from `start` back to it: each one waits for a key that the next one holds. Undefined when there is
 * no such circle.
 */
export function circleOf(start: LockWait, all: readonly LockWait[]): LockWait[] | undefined {
  const seen = new Set<LockWait>()
  const path: LockWait[] = []
  const search = (wait: LockWait): boolean => {
    path.push(wait)
    for (const next of all) {
      if (!next.holds.has(wait.waitsFor)) continue
      if (next === start) return true
      if (seen.has(next)) continue
      seen.add(next)
      if (search(next)) return true
    }
    path.pop()
    return false
  }
  return search(start) ? path : undefined
}
