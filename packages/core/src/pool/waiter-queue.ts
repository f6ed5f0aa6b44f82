import type { Holder, Waiter } from './waiter.js'

/**
 * First come, first served. A `Set` keeps the order of arrival and lets a waiter that gives up leave from the middle
 * at no cost.
 */
export class WaiterQueue<R> {
  readonly #waiters = new Set<Waiter<R>>()

  get length(): number {
    return this.#waiters.size
  }

  /** The caller that has waited longest, or undefined. */
  get first(): Waiter<R> | undefined {
    return this.#waiters.values().next().value
  }

  add(waiter: Waiter<R>): void {
    this.#waiters.add(waiter)
  }

  /** Takes a waiter out; false when it was not in any more. */
  remove(waiter: Waiter<R>): boolean {
    return this.#waiters.delete(waiter)
  }

  /** Takes the longest waiting one out. */
  shift(): Waiter<R> | undefined {
    const first = this.first
    if (first !== undefined) this.#waiters.delete(first)
    return first
  }

  /** How many connections are held by contexts that wait here, with one more that is about to. */
  heldByWaiting(joining: Holder): number {
    const holders = new Set<Holder>([joining])
    for (const { holder } of this.#waiters) if (holder !== undefined) holders.add(holder)
    let held = 0
    for (const holder of holders) held += holder.held
    return held
  }

  [Symbol.iterator](): IterableIterator<Waiter<R>> {
    return this.#waiters.values()
  }
}
