import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { keepBusy } from '../load.js'

/** Round trips to take an advisory lock that is free, and to give it back. */
export const locks: readonly Case[] = [
  {
    name: 'lock-2ms',
    lineUp: pools,
    unit: 'round trips',
    better: 'lower',
    needs: ['lock'],
    slow: true,
    connections: 4,
    roundTripMs: 2,
    async read(session, { ms, measureRoundTrip }) {
      const roundTrip = await measureRoundTrip()
      const { operations, elapsedMs } = await keepBusy(1, ms, async () => session.lock?.())
      return elapsedMs / operations / roundTrip
    },
  },
]
