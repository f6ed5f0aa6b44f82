/** A timer that was set on a {@link Clock}. Opaque: hand it back to `clearTimer`. */
export type Timer = NodeJS.Timeout | { readonly fake: number }

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
   * Calls `run` once after `ms` milliseconds. A `background` timer does not keep the process alive: maintenance uses
   * it, while whatever a caller awaits does not.
   */
  setTimer(ms: number, run: () => void, background?: boolean): Timer
  /** Forgets a timer; harmless when it already ran. */
  clearTimer(timer: Timer): void
}

/** Node cannot hold a longer delay than 2^31 - 1 ms: it would fire at once. */
const longestDelayMs = 2_147_483_647

/** The real clock: `performance.now()` and Node's timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(ms, run, background = false) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), longestDelayMs))
    if (background) timer.unref()
    return timer
  },
  clearTimer(timer) {
    clearTimeout(timer as NodeJS.Timeout)
  },
}
