import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { inNoContext } from '../observe/context.js'

/**
 * Node's own timers as they were when this package was loaded. A test that fakes time puts others in their place, of which
 * sockets do not know: a statement that waited for a faked `process.nextTick` would never be sent. Who fakes the time of a
 * pool gives it a `clock` in `environment`.
 */
export const ownTimers = { setTimeout, clearTimeout, setImmediate, now: performance.now.bind(performance) } as const

/** `process.nextTick`. */
export const nextTick: typeof process.nextTick = isFaked(process.nextTick) ? afterThis : process.nextTick.bind(process)

/** `queueMicrotask`. */
export const nextMicrotask: typeof queueMicrotask = isFaked(queueMicrotask)
  ? afterThis
  : queueMicrotask.bind(globalThis)

/** Whether it was faked before this package was loaded: what jest and vitest put there has a clock. */
function isFaked(own: object): boolean {
  return 'clock' in own
}

/** Promises are not faked. */
function afterThis(run: (...args: never[]) => void, ...args: never[]): void {
  void Promise.resolve().then(() => run(...args))
}

/** A source of randomness in [0, 1), injected so that jitter can be replayed in tests. */
export type Random = () => number

/** The default source. Jitter needs spread, not secrecy. */
export const systemRandom: Random = Math.random

/** A duration spread evenly over `ms` plus or minus `share` of it, so that what was started together ends apart. */
export function jitter(ms: number, share: number, random: Random): number {
  return ms * (1 + share * (2 * random() - 1))
}

/**
 * Settles in another turn of the event loop, after what has come in over the network was read. Work that never waits
 * for anything but promises that are settled already would keep everybody else from it.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => ownTimers.setImmediate(resolve))
}

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
