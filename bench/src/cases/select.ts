import type { Case } from '../case.js'
import type { LineUp } from '../line-up.js'
import { pools } from '../line-ups/pools.js'
import { keepBusy } from '../load.js'
import type { Session } from '../peer.js'
import { items, noteOf } from '../sql.js'

/** In which words of the peers the row is asked for. */
type Words = 'select' | 'selectFirst'

/** So many callers at the same time, on so many connections, with a latency of so many milliseconds. */
interface Size {
  readonly callers: number
  readonly connections: number
  readonly roundTripMs: number
}

/** A row by its primary key: rows a second. */
export function select(lineUp: LineUp, size: Size, words: Words = 'select'): Case {
  return {
    ...common(lineUp, size, words),
    name: `select-${sizeName(size, words)}`,
    unit: 'ops/s',
    better: 'higher',
    async read(session, { ms }) {
      const { operations, elapsedMs } = await keepBusy(size.callers, ms, (n) => selectOne(session, words, n))
      return (operations / elapsedMs) * 1_000
    },
  }
}

/** What it costs the process that asks, in CPU time: does not depend on how busy the machine is. */
export function cpu(lineUp: LineUp, size: Size, words: Words = 'select'): Case {
  return {
    ...common(lineUp, size, words),
    name: `cpu-${sizeName(size, words)}`,
    unit: 'us',
    better: 'lower',
    slow: true,
    async read(session, { ms }) {
      const before = process.cpuUsage()
      const { operations } = await keepBusy(size.callers, ms, (n) => selectOne(session, words, n))
      const { user, system } = process.cpuUsage(before)
      return (user + system) / operations
    },
  }
}

function common(lineUp: LineUp, { connections, roundTripMs }: Size, words: Words) {
  return { lineUp, needs: [words], connections, roundTripMs } as const
}

function sizeName({ callers, connections, roundTripMs }: Size, words: Words): string {
  return `${words === 'selectFirst' ? 'first-' : ''}${callers}-on-${connections}-${roundTripMs === 0 ? 'loopback' : `${roundTripMs}ms`}`
}

async function selectOne(session: Session, words: Words, n: number): Promise<void> {
  const id = (n % items) + 1
  const note = await session[words]?.(id)
  if (note !== noteOf(id)) throw new Error(`wrong answer: ${note} is not the note of item ${id}`)
}

const near = [1, 16, 64, 256].map((callers): Case => {
  return { ...select(pools, { callers, connections: 8, roundTripMs: 0 }), slow: callers === 16 || callers === 256 }
})
const far = [1, 64, 256].map((callers): Case => {
  return { ...select(pools, { callers, connections: 8, roundTripMs: 2 }), slow: true }
})
const onFewer = [0, 2].map((roundTripMs): Case => {
  return { ...select(pools, { callers: 64, connections: 4, roundTripMs }), slow: roundTripMs === 0 }
})

/** The same work on a fifth of the connections. */
const fewer: Case = {
  ...select(pools, { callers: 64, connections: 4, roundTripMs: 2 }),
  name: 'select-64-on-4-of-20-2ms',
  connectionsOf: { 'pg.Pool': 20, 'pg.Pool named': 20 },
  slow: true,
}

export const selects: readonly Case[] = [
  ...near,
  ...far,
  ...onFewer,
  cpu(pools, { callers: 64, connections: 8, roundTripMs: 0 }),
  fewer,
]
