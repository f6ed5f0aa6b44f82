import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { type Load, repeat } from '../load.js'
import type { Session } from '../peer.js'

const measure = (session: Session, ms: number): Promise<Load> =>
  repeat(ms, () => session.acquireRelease?.() ?? Promise.reject(new Error('bug: cannot acquire')))

const common = { lineUp: pools, needs: ['acquireRelease'], connections: 10, roundTripMs: 0 } as const

/** One caller takes a connection that is idle and gives it back: what the pool itself costs. */
export const acquire: readonly Case[] = [
  {
    ...common,
    name: 'acquire',
    unit: 'ops/s',
    better: 'higher',
    async read(session, { ms }) {
      const { operations, elapsedMs } = await measure(session, ms)
      return (operations / elapsedMs) * 1_000
    },
  },
  {
    ...common,
    name: 'acquire-each',
    slow: true,
    unit: 'ns',
    better: 'lower',
    async read(session, { ms }) {
      const { operations, elapsedMs } = await measure(session, ms)
      return (elapsedMs / operations) * 1e6
    },
  },
]
