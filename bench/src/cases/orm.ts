import type { Case } from '../case.js'
import type { LineUp } from '../line-up.js'
import { orms } from '../line-ups/orms.js'
import { cpu, select } from './select.js'

const alone = { callers: 1, connections: 8, roundTripMs: 0 }
const busy = { callers: 64, connections: 8, roundTripMs: 0 }
const remote = { callers: 64, connections: 4, roundTripMs: 2 }

/** A row by its primary key through the query builder of each ORM, on Lifeguard and on its stock driver. */
const selected = [alone, busy, remote].flatMap((size) =>
  forEachOrm((lineUp) => ({ ...select(lineUp, size), slow: size !== busy })),
)

/**
 * The same by findFirst: the 64 callers of findUnique ask in the same tick, so that Prisma makes one query of them, and
 * there is nothing left for a pool to do better. Callers who do not ask in step are like these.
 */
const selectedFirst = [alone, busy, remote].map((size) =>
  named({ ...select(orms.prisma, size, 'selectFirst'), slow: true }, 'prisma'),
)

/** What one costs the process that asks. */
const costs = [...forEachOrm((lineUp) => cpu(lineUp, busy)), named(cpu(orms.prisma, busy, 'selectFirst'), 'prisma')]

function forEachOrm(make: (lineUp: LineUp) => Case): Case[] {
  return Object.entries(orms).map(([orm, lineUp]) => named(make(lineUp), orm))
}

function named(testCase: Case, orm: string): Case {
  return { ...testCase, name: `orm-${testCase.name}-${orm}` }
}

export const ormCases: readonly Case[] = [...selected, ...selectedFirst, ...costs]
