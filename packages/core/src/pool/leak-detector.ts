import { callersStack } from '../base/callers-stack.js'
import type { Clock, Timer } from '../base/clock.js'
import { nextMicrotask } from '../base/own-timers.js'
import type { LeakReport } from './resource-factory.js'
import type { Slot } from './slot.js'

/** Remembers where each connection was acquired, and tells when one is held for too long. Costs nothing while off. */
export class LeakDetector<R> {
  readonly #afterMs: number
  readonly #clock: Clock
  readonly #report: (report: LeakReport) => void
  readonly #timers = new Map<Slot<R>, Timer>()
  readonly #reported = new Set<Slot<R>>()

  constructor(afterMs: number, clock: Clock, report: (report: LeakReport) => void) {
    this.#afterMs = afterMs
    this.#clock = clock
    this.#report = report
  }

  /** The stack of whoever is acquiring; taken at the call, as it is lost once the caller waits. */
  capture(): string | undefined {
    if (this.#afterMs === 0) return undefined
    return callersStack(this.capture)
  }

  acquired(slot: Slot<R>, stack: string | undefined): void {
    if (this.#afterMs === 0) return
    slot.acquireStack = stack
    const timer = this.#clock.setTimer(
      this.#afterMs,
      () => {
        this.#timers.delete(slot)
        this.#reported.add(slot)
        this.#tell(slot, false)
      },
      true,
    )
    this.#timers.set(slot, timer)
  }

  released(slot: Slot<R>): void {
    this.#stopTimer(slot)
    if (this.#reported.delete(slot)) this.#tell(slot, true)
  }

  /** The pool has taken the connection away: it will not come back, and nobody holds it any more. */
  forget(slot: Slot<R>): void {
    this.#stopTimer(slot)
    this.#reported.delete(slot)
  }

  #stopTimer(slot: Slot<R>): void {
    const timer = this.#timers.get(slot)
    if (timer === undefined) return
    this.#clock.clearTimer(timer)
    this.#timers.delete(slot)
  }

  /** In a microtask: what a listener throws must not come between a connection and its place in the pool. */
  #tell(slot: Slot<R>, returned: boolean): void {
    const leak = { heldMs: this.#clock.now() - slot.busySince, acquireStack: slot.acquireStack, returned }
    nextMicrotask(() => this.#report(leak))
  }
}
