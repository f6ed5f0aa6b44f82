import type { Slot } from './slot.js'

/** Idle resources: the one used last is used next, so that those not needed grow old at the bottom. */
export class IdleStack<R> {
  readonly #slots: Slot<R>[] = []

  get length(): number {
    return this.#slots.length
  }
  /** The one that would be popped. */
  get top(): Slot<R> | undefined {
    return this.#slots.at(-1)
  }

  /** The one that has idled for longest. */
  get oldest(): Slot<R> | undefined {
    return this.#slots[0]
  }

  push(slot: Slot<R>): void {
    this.#slots.push(slot)
  }

  pop(): Slot<R> | undefined {
    return this.#slots.pop()
  }

  /** Takes out the one that has idled for longest. */
  takeOldest(): Slot<R> | undefined {
    return this.#slots.shift()
  }

  /** Takes out the slot with this resource, wherever it is. */
  take(resource: R): Slot<R> | undefined {
    const at = this.#slots.findIndex((slot) => slot.resource === resource)
    return at === -1 ? undefined : this.#slots.splice(at, 1)[0]
  }

  /** Takes all out. */
  takeAll(): Slot<R>[] {
    return this.#slots.splice(0)
  }

  /**
   * Takes out those that are not fresh any more, and of the others the ones that have idled since `idleSince` or
   * longer, `spare` at most: oldest first.
   */
  sweep(isFresh: (slot: Slot<R>) => boolean, idleSince: number, spareOf: (fresh: number) => number): Slot<R>[] {
    const all = this.takeAll()
    const out = all.filter((slot) => !isFresh(slot))
    const fresh = all.filter((slot) => !out.includes(slot))
    let spare = spareOf(fresh.length)
    for (const slot of fresh) {
      if (spare > 0 && slot.idleSince <= idleSince) {
        spare -= 1
        out.push(slot)
      } else this.#slots.push(slot)
    }
    return out
  }
}
