import { clearTimeout, setImmediate, setTimeout } from 'node:timers'

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
