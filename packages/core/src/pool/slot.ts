/**
 * One place in the pool and the resource in it. The slot itself is what `acquire` hands out: no wrapper is made per
 * acquisition.
 *
 * - `idle`: on the idle stack.
 * - `checking`: being validated for a waiter.
 * - `busy`: with a caller.
 * - `closing`: on its way out; its place is free once the resource is gone.
 */
export type SlotState = 'idle' | 'checking' | 'busy' | 'closing'

/** A resource of the pool with what the pool has to remember about it. Fields are the pool's; `resource` is the caller's. */
export class Slot<R> {
  readonly resource: R
  state: SlotState = 'idle'
  /** The pool's generation when it was opened; an older one is not used again. */
  readonly generation: number
  readonly openedAt: number
  /** When its lifetime is over, jitter included; `Infinity` for never. */
  readonly expiresAt: number
  /** How often it was handed out. */
  uses = 0
  idleSince: number
  busySince = 0
  /** How long its user has waited for it, in milliseconds. */
  waitedMs = 0
  /** Where it was acquired, while leak detection is on. */
  acquireStack: string | undefined = undefined

  constructor(resource: R, generation: number, now: number, expiresAt: number) {
    this.resource = resource
    this.generation = generation
    this.openedAt = now
    this.expiresAt = expiresAt
    this.idleSince = now
  }
}
