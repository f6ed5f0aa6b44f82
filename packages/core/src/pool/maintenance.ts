import type { Clock, Timer } from '../base/clock.js'
import type { Slots } from './slots.js'

/** How often idle connections are looked through for those that are too old, at least. */
const mostMs = 1_000

/**
 * Closes idle resources that are too old, or have idled for too long above `min`. No timer is left while none idles, and
 * it keeps no process alive.
 */
export class Maintenance<R> {
  readonly #slots: Slots<R>
  readonly #clock: Clock
  readonly #idleTimeoutMs: number
  readonly #min: () => number
  readonly #done: () => void
  #timer: Timer | undefined

  constructor(slots: Slots<R>, clock: Clock, idleTimeoutMs: number, min: () => number, done: () => void) {
    this.#slots = slots
    this.#clock = clock
    this.#idleTimeoutMs = idleTimeoutMs
    this.#min = min
    this.#done = done
  }

  /** To be called after any change. */
  schedule(): void {
    if (this.#timer !== undefined || this.#slots.idle.length === 0) return
    this.#timer = this.#clock.setTimer(
      this.#pauseMs(),
      () => {
        this.#timer = undefined
        this.#maintain()
      },
      true,
    )
  }

  /** Until the one that has idled for longest has done so for too long: those after it are younger. */
  #pauseMs(): number {
    const pauseMs = Math.min(mostMs, Math.max(1, this.#idleTimeoutMs))
    const { oldest } = this.#slots.idle
    const leftMs = oldest === undefined ? 0 : oldest.idleSince + this.#idleTimeoutMs - this.#clock.now()
    // What is kept for `min` is past its time, and waits for nothing.
    return leftMs > 0 ? Math.min(pauseMs, Math.max(1, Math.ceil(leftMs))) : pauseMs
  }

  /** There is nothing to look after any more. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  #maintain(): void {
    const { active, checking } = this.#slots
    const min = this.#min()
    const old = this.#slots.idle.sweep(
      (slot) => this.#slots.isFresh(slot),
      this.#clock.now() - this.#idleTimeoutMs,
      (fresh) => active + checking + fresh - min,
    )
    for (const slot of old) this.#slots.retire(slot)
    this.#done()
  }
}
