import type { Clock } from '../base/clock.js'
import type { Limit } from '../base/limit.js'
import type { ResourcePool } from '../pool/resource-pool.js'
import type { Slot } from '../pool/slot.js'
import { urgent } from '../pool/waiter.js'
import type { Connection } from '../wire/connection.js'
import { signOfLife } from '../wire/sign-of-life.js'
import type { HostBreaker } from './host-breaker.js'

/** The host, as far as it matters here. */
export interface Returning {
  readonly clock: Clock
  readonly pool: ResourcePool<Connection>
  readonly breaker: HostBreaker<Connection>
  release(slot: Slot<Connection>): void
}

/** Between two looks. */
const everyMs = 100
/** How long one look may take. Short, as the end of the pool waits for it. */
const boundMs = 500

/**
 * Looks whether a host that was out of reach is back while its breaker is open and no caller gets through to find out.
 * It stands in the pool's queue as a caller would, so that there are neither more connections than `max` nor more attempts
 * than the connect gate allows. Returns the way to begin.
 */
export function watchForReturn(host: Returning): () => void {
  const { clock, pool, breaker } = host
  let isDue = false
  const later = (): void => {
    if (isDue) return
    isDue = true
    clock.setTimer(everyMs, () => void look(), true)
  }
  async function look(): Promise<void> {
    isDue = false
    if (!breaker.isOpenForReach || pool.isEnding) return
    if (await answers(host)) breaker.hostAnswers()
    else later()
  }
  return later
}

async function answers({ clock, pool, release }: Returning): Promise<boolean> {
  const limit: Limit = { deadlineAt: clock.now() + boundMs, timeoutMs: boundMs, signal: undefined }
  try {
    const slot = await pool.acquire(limit, urgent)
    try {
      await slot.resource.run(signOfLife({ text: '' }), limit)
      return true
    } finally {
      release(slot)
    }
  } catch {
    // Not back yet, whatever it says; the next look is under way.
    return false
  }
}
