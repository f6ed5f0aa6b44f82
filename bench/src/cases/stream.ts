import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'

/** So many rows, read one by one. */
function stream(rows: number, what: 'rows' | 'memory', roundTripMs: number): Case {
  return {
    name: `stream-${rows === 1_000_000 ? '1M' : `${rows / 1_000}k`}-${what}${roundTripMs === 0 ? '' : `-${roundTripMs}ms`}`,
    unit: what === 'rows' ? 'rows/s' : 'MB',
    better: what === 'rows' ? 'higher' : 'lower',
    lineUp: pools,
    needs: ['stream'],
    connections: 1,
    roundTripMs,
    slow: true,
    readsWhole: true,
    mostRounds: 3,
    async read(session) {
      const start = performance.now()
      const sum = await session.stream?.(rows)
      const elapsedMs = performance.now() - start
      const expected = (rows * (rows + 1)) / 2
      if (sum !== expected) throw new Error(`wrong sum: ${sum} of the numbers up to ${rows}`)
      return what === 'rows' ? (rows / elapsedMs) * 1_000 : process.resourceUsage().maxRSS / 1_024
    },
  }
}

/**
 * Rows that are read one by one, with the defaults of each: how many a second, and how much memory the process had at the
 * most. At 2 ms fewer of them: who waits for each hundred takes two seconds for these.
 */
export const streams: readonly Case[] = [
  stream(1_000_000, 'rows', 0),
  stream(1_000_000, 'memory', 0),
  stream(100_000, 'rows', 2),
]
