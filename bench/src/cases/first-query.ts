import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { median } from '../load.js'

const common = { lineUp: pools, unit: 'ms', better: 'lower', connections: 10, roundTripMs: 2 } as const

/** One query: the first of a pool that was just made, and one of a pool whose connections are open. */
export const firstQueries: readonly Case[] = [
  {
    ...common,
    name: 'first-query-cold-2ms',
    needs: ['coldSelect'],
    slow: true,
    read: (session, { ms }) => medianTime(ms, async () => session.coldSelect?.(1)),
  },
  {
    ...common,
    name: 'first-query-warm-2ms',
    needs: ['select'],
    slow: true,
    read: (session, { ms }) => medianTime(ms, async () => session.select?.(1)),
  },
]

async function medianTime(ms: number, query: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  const end = performance.now() + ms
  do {
    const start = performance.now()
    const note = await query()
    times.push(performance.now() - start)
    if (note !== 'note 1') throw new Error(`wrong answer: ${note}`)
  } while (performance.now() < end)
  return median(times)
}
