/** Promises for things that come about in the pool: each is resolved when its condition is seen to hold. */
export class Conditions {
  readonly #awaited = new Set<Awaited>()

  /** Settles when `holds` does; at once when it does already. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#awaited.add({ holds, resolve, reject })
    })
  }

  /** To be called after any change. Costs nothing while nobody waits. */
  look(): void {
    if (this.#awaited.size === 0) return
    for (const one of this.#awaited) {
      if (!one.holds()) continue
      this.#awaited.delete(one)
      one.resolve()
    }
  }

  /** None of them will come about any more. */
  fail(error: Error): void {
    for (const { reject } of this.#awaited) reject(error)
    this.#awaited.clear()
  }
}

interface Awaited {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}
