import type { Case } from '../case.js'
import { keepBusy } from '../load.js'
import type { Session } from '../peer.js'
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
    slow: connections === 4 || callers === 16,
    async read(session, { ms }) {
      const { operations, elapsedMs } = await keepBusy(callers, ms, (n) => selectOne(session, n))
      return (operations / elapsedMs) * 1_000
    },
  }
}

async function selectOne(session: Session, n: number): Promise<void> {
  const id = (n % items) + 1
  const note = await session.select?.(id)
  if (note !== `note ${id}`) throw new Error(`wrong answer: ${note} is not the note of item ${id}`)
}

/** What a row by its primary key costs the process that asks, in CPU time: does not depend on how busy the machine is. */
function cpu(callers: number, connections: number): Case {
  return {
    name: `cpu-${callers}-on-${connections}-loopback`,
    unit: 'us',
    better: 'lower',
    needs: ['select'],
    connections,
    roundTripMs: 0,
    slow: true,
    async read(session, { ms }) {
      const before = process.cpuUsage()
      const { operations } = await keepBusy(callers, ms, (n) => selectOne(session, n))
      const { user, system } = process.cpuUsage(before)
      return (user + system) / operations
    },
  }
}

/** The same work on a fifth of the connections. */
const fewer: Case = {
  ...select(64, 4, 2),
  name: 'select-64-on-4-of-20-2ms',
  connectionsOf: { 'pg.Pool': 20, 'pg.Pool named': 20 },
  slow: true,
}

export const selects: readonly Case[] = [
  ...[0, 2].flatMap((roundTripMs) =>
    [8, 4].flatMap((connections) => [1, 16, 64, 256].map((callers) => select(callers, connections, roundTripMs))),
  ),
  cpu(64, 8),
  cpu(64, 4),
  fewer,
]
