import type { Slot } from './slot.js'

/** A piece of work that holds connections and may ask for another: a transaction, or a lock. */
export interface Holder {
  /** Connections of this pool that it holds itself now. */
  held: number
  /** A connection that it holds together with others: counted once, however many they are. */
  shared?: object | undefined
  /** The work around it, which cannot give anything back before this is done. */
  readonly parent?: Holder | undefined
  /** Must go on waiting for as long as it can, whatever is known of the server: the proof of a commit. */
  readonly isUrgent?: boolean
}

/** Goes on waiting where others are sent away: for what must be found out, such as the outcome of a COMMIT. */
export const urgent: Holder = Object.freeze({ held: 0, isUrgent: true })

/** How many connections this work and the work around it hold. */
export function heldAround(holder: Holder | undefined): number {
  let held = 0
  const shared = new Set<object>()
  for (let one = holder; one !== undefined; one = one.parent) {
    held += one.held
    if (one.shared !== undefined) shared.add(one.shared)
  }
  return held + shared.size
}

/** One caller in the queue. Settled exactly once; `stop` takes its timer and its abort listener away. */
export interface Waiter<R> {
  readonly resolve: (slot: Slot<R>) => void
  readonly reject: (error: Error) => void
  readonly since: number
  readonly holder: Holder | undefined
  readonly stack: string | undefined
  /** Whether it can use a resource together with others of its kind. */
  readonly isSharing: boolean
  stop: () => void
}
