import { inNoContext } from './no-context.js'
import { ownTimers } from './own-timers.js'

/** A timer that was set on a {@link Clock}. Opaque: hand it back to `clearTimer`. */
export type Timer = NodeJS.Timeout | LongTimer | { readonly fake: number }

/**
 * Time as the rest of the core sees it: monotonic, so that a step of the wall clock neither expires nor prolongs
 * anything, and injected, so that policies are tested without waiting.
 */
export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes back. */
  now(): number
  /** Milliseconds since 1970, for times that outlive the process; may go back. */
  wallNow(): number
  /**
   * Calls `run` once after `ms` milliseconds, in nobody's asynchronous context: a timer may serve others than the one who
   * set it, and outlive him. A promise that it settles goes on in the context of whoever waits for it. A `background` timer does not keep the process alive: maintenance uses
   * it, while whatever a caller awaits does not.
   */
  setTimer(ms: number, run: () => void, background?: boolean): Timer
  /** Forgets a timer; harmless when it already ran. */
  clearTimer(timer: Timer): void
}

/** Node cannot hold a longer delay than 2^31 - 1 ms: it would fire at once. */
export const longestDelayMs = 2_147_483_647

/** Timers of Node that a clock is made of. */
export type Timers = Pick<typeof ownTimers, 'setTimeout' | 'clearTimeout' | 'now'>

/** A timer for more than Node can hold: one piece after the other. `Infinity` never fires. */
class LongTimer {
  readonly #timers: Timers
  readonly #endsAt: number
  readonly #run: () => void
  readonly #background: boolean
  #piece: NodeJS.Timeout

  constructor(timers: Timers, ms: number, run: () => void, background: boolean) {
    this.#timers = timers
    this.#endsAt = timers.now() + ms
    this.#run = run
    this.#background = background
    this.#piece = this.#wait()
  }

  clear(): void {
    this.#timers.clearTimeout(this.#piece)
  }

  #wait(): NodeJS.Timeout {
    const { setTimeout, now } = this.#timers
    const left = this.#endsAt - now()
    const isLast = left <= longestDelayMs
    const next = (): void => {
      if (isLast) this.#run()
      else this.#piece = this.#wait()
    }
    const piece = inNoContext(() => setTimeout(next, Math.max(0, Math.min(left, longestDelayMs))))
    if (this.#background) piece.unref()
    return piece
  }
}

/** A clock on such timers. */
export function clockOn(timers: Timers): Clock {
  const { setTimeout, clearTimeout, now } = timers
  return {
    now,
    wallNow: () => Date.now(),
    setTimer(ms, run, background = false) {
      if (ms > longestDelayMs) return new LongTimer(timers, ms, run, background)
      const timer = inNoContext(() => setTimeout(run, Math.max(0, ms)))
      if (background) timer.unref()
      return timer
    },
    clearTimer(timer) {
      if (timer instanceof LongTimer) timer.clear()
      else clearTimeout(timer as NodeJS.Timeout)
    },
  }
}

/** The real clock. */
export const systemClock: Clock = clockOn(ownTimers)
