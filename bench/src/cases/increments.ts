import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { median } from '../load.js'

const callers = 50

/** 50 callers add one to the same row at the same time, serializable: the time until all have committed. */
export const increments: readonly Case[] = [
  {
    name: `increments-${callers}-serializable`,
    lineUp: pools,
    unit: 'ms',
    better: 'lower',
    needs: ['increment'],
    slow: true,
    connections: 10,
    roundTripMs: 0,
    async read(session, { ms, readCounter }) {
      const before = await readCounter()
      const times: number[] = []
      const end = performance.now() + ms
      do {
        const start = performance.now()
        await Promise.all(Array.from({ length: callers }, async () => session.increment?.()))
        times.push(performance.now() - start)
      } while (performance.now() < end)
      const counted = (await readCounter()) - before
      const asked = times.length * callers
      if (counted !== asked) throw new Error(`wrong count: ${counted} after ${asked} increments`)
      return median(times)
    },
  },
]
