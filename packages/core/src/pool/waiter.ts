import type { Slot } from './slot.js'

/** Somebody who holds connections and may ask for another: the ambient context of a transaction or a lock. */
export interface Holder {
  /** Connections of this pool that are held in this context now. */
  held: number
}

/** One caller in the queue. Settled exactly once; `stop` takes its timer and its abort listener away. */
export interface Waiter<R> {
  readonly resolve: (slot: Slot<R>) => void
  readonly reject: (error: Error) => void
  readonly since: number
  readonly holder: Holder | undefined
  readonly stack: string | undefined
  stop: () => void
}
