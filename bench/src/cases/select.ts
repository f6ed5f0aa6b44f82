import type { Case } from '../case.js'
import { keepBusy } from '../load.js'
import { items } from '../sql.js'

/** A row by its primary key, for so many callers at once on so many connections. */
function select(callers: number, connections: number, roundTripMs: number): Case {
  const network = roundTripMs === 0 ? 'loopback' : `${roundTripMs}ms`
  return {
    name: `select-${callers}-on-${connections}-${network}`,
    unit: 'ops/s',
    better: 'higher',
    needs: ['select'],
    connections,
    roundTripMs,
    slow: connections !== 10 || callers === 16,
    async read(session, { ms }) {
      const { operations, elapsedMs } = await keepBusy(callers, ms, async (n) => {
        const id = (n % items) + 1
        const note = await session.select?.(id)
        if (note !== `note ${id}`) throw new Error(`wrong answer: ${note} is not the note of item ${id}`)
      })
      return (operations / elapsedMs) * 1_000
    },
  }
}

export const selects: readonly Case[] = [0, 2].flatMap((roundTripMs) =>
  [10, 4].flatMap((connections) => [1, 16, 64, 256].map((callers) => select(callers, connections, roundTripMs))),
)
