import { describe, expect, test } from 'vitest'
import { cases } from '../src/cases.js'
import { goalLines, goals } from '../src/goals.js'
import type { Row } from '../src/harness.js'

function row(name: string, results: Readonly<Record<string, number>>, ratios: Readonly<Record<string, number>>): Row {
  const found = cases.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no such case: ${name}`)
  const { unit, lineUp } = found
  return { case: name, unit, lineUp, rounds: 1, results, ratio: ratios[lineUp.yardstick] ?? Number.NaN, ratios }
}

describe('the goals', () => {
  test.each(goals)('$case: there is such a case, and whom it is measured against', ({ case: name, than }) => {
    const lineUp = cases.find((one) => one.name === name)?.lineUp
    if ('peer' in than) expect(lineUp?.peers.map((peer) => peer.name)).toContain(than.peer)
    else expect(cases.map((one) => one.name)).toContain(than.case)
  })

  test('every ORM has one for one caller, for many, and for many far away', () => {
    const ofOrms = goals.filter((goal) => goal.case.startsWith('orm-select-') && !goal.case.includes('-first-'))
    expect(ofOrms.map((goal) => `${goal.case} ${goal.atLeast}`).toSorted()).toEqual(
      ['drizzle', 'kysely', 'prisma']
        .flatMap((orm) => [
          `orm-select-1-on-8-loopback-${orm} 1`,
          `orm-select-64-on-4-2ms-${orm} 5`,
          `orm-select-64-on-8-loopback-${orm} 1.3`,
        ])
        .toSorted(),
    )
  })

  test('say for each case that was measured whether it was reached', () => {
    const lines = goalLines([
      row('orm-select-64-on-8-loopback-kysely', {}, { 'ORM on pg.Pool': 1.3, 'no ORM': 0.5 }),
      row('orm-select-64-on-4-2ms-kysely', {}, { 'ORM on pg.Pool': 4.99 }),
      row('insert-each-2ms', { lifeguard: 400 }, {}),
      row('insert-batch-2ms', { lifeguard: 10_000 }, {}),
    ])
    expect(lines).toBe(
      [
        '',
        'reached  insert-batch-2ms: 25.00 x insert-each-2ms, the goal is 20.00',
        'reached  orm-select-64-on-8-loopback-kysely: 1.30 x ORM on pg.Pool, the goal is 1.30',
        'missed   orm-select-64-on-4-2ms-kysely: 4.99 x ORM on pg.Pool, the goal is 5.00',
        '',
      ].join('\n'),
    )
  })

  test('are silent when none of their cases was measured', () => {
    expect(goalLines([row('lock-2ms', { lifeguard: 2 }, { 'pg.Pool': 1 })])).toBe('')
  })
})
