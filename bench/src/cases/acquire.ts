import type { Case } from '../case.js'
import { pools } from '../line-ups/pools.js'
import { keepBusy, type Load, repeat } from '../load.js'
import type { Session } from '../peer.js'

const measure = (session: Session, ms: number): Promise<Load> =>
  repeat(ms, () => session.acquireRelease?.() ?? Promise.reject(new Error('bug: cannot acquire')))

const common = { lineUp: pools, needs: ['acquireRelease'], connections: 10, roundTripMs: 0 } as const

/**
 * What the pool itself costs: one caller takes a connection that is idle and gives it back; and many callers take turns
 * of 5 ms each, where what is more than 5 ms is the way of a connection from one caller to the next.
 */
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
  {
    ...common,
    name: 'acquire-turn-64-on-10',
    needs: ['turn'],
    slow: true,
    unit: 'ms',
    better: 'lower',
    async read(session, { ms }) {
      const { operations, elapsedMs } = await keepBusy(64, ms, async () => session.turn?.())
      return (elapsedMs * common.connections) / operations
    },
  },
]
