import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'

const streamed = 1_000_000

/** A million rows, read one by one: rows a second, and how much memory the process had at the most. */
export const streams: readonly Case[] = (['rows', 'memory'] as const).map((what) => ({
  name: `stream-1M-${what}`,
  unit: what === 'rows' ? 'rows/s' : 'MB',
  better: what === 'rows' ? 'higher' : 'lower',
  lineUp: pools,
  needs: ['stream'],
  connections: 1,
  roundTripMs: 0,
  slow: true,
  readsWhole: true,
  mostRounds: 3,
  async read(session) {
    const start = performance.now()
    const sum = await session.stream?.(streamed)
    const elapsedMs = performance.now() - start
    const expected = (streamed * (streamed + 1)) / 2
    if (sum !== expected) throw new Error(`wrong sum: ${sum} of the numbers up to ${streamed}`)
    return what === 'rows' ? (streamed / elapsedMs) * 1_000 : process.resourceUsage().maxRSS / 1_024
  },
}))
