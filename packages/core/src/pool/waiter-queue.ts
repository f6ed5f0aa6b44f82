import { type Holder, heldAround, type Waiter } from './waiter.js'

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

  /** How many of them do work that holds a connection already. */
  countHolding(): number {
    let count = 0
    for (const { holder } of this.#waiters) if (heldAround(holder) > 0) count += 1
    return count
  }

  /** Takes the longest waiting one of these out. */
  shiftHolding(): Waiter<R> | undefined {
    for (const waiter of this.#waiters) {
      if (heldAround(waiter.holder) > 0) {
        this.#waiters.delete(waiter)
        return waiter
      }
    }
    return undefined
  }

  /** How many connections are held by work that waits here, with one more that is about to, and by the work around it. */
  heldByWaiting(joining: Holder): number {
    const waiting = new Set<Holder>()
    const add = (holder: Holder | undefined): void => {
      for (let one = holder; one !== undefined; one = one.parent) waiting.add(one)
    }
    add(joining)
    for (const { holder } of this.#waiters) add(holder)
    let held = 0
    const shared = new Set<object>()
    for (const holder of waiting) {
      held += holder.held
      if (holder.shared !== undefined) shared.add(holder.shared)
    }
    return held + shared.size
  }

  [Symbol.iterator](): IterableIterator<Waiter<R>> {
    return this.#waiters.values()
  }
}
