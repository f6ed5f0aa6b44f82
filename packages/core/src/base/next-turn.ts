import { ownTimers } from './own-timers.js'

/**
 * Settles in another turn of the event loop, after what has come in over the network was looked at. Work that never waits
 * for anything but promises that are settled already would keep everybody else from it.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => ownTimers.setImmediate(resolve))
}
