import type { Clock } from './clock.js'
import { type Limit, type LimitReason, limitReached, watchLimit } from './limit.js'

/** Waits `ms` milliseconds, or less when the limit is reached first; tells which of the two it was. */
export function sleep(ms: number, clock: Clock, limit: Limit): Promise<LimitReason | undefined> {
  const already = limitReached(limit, clock)
  if (already !== undefined) return Promise.resolve(already)
  return new Promise((resolve) => {
    const timer = clock.setTimer(ms, () => {
      stop()
      resolve(undefined)
    })
    const stop = watchLimit(limit, clock, (reason) => {
      clock.clearTimer(timer)
      resolve(reason)
    })
  })
}
