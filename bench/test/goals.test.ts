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

  test('name each pool that is ahead in a case without a goal against it', () => {
    const ratios = { 'pg.Pool': 0.94, 'pg.Pool named': 0.96, 'postgres.js': 0.8, 'pg pipelined': 0.5 }
    expect(goalLines([row('lock-2ms', { lifeguard: 2 }, ratios)])).toBe(
      [
        '',
        'missed   lock-2ms: 0.94 x pg.Pool, no peer is to be ahead',
        'missed   lock-2ms: 0.80 x postgres.js, no peer is to be ahead',
        '',
      ].join('\n'),
    )
    const limits = { 'pg.Pool': 2.8, 'postgres.js': 2.9, 'psql copy': 0.1, 'pgx v4': 1.2 }
    expect(goalLines([row('rows-ints', { lifeguard: 0.4 }, limits)])).toBe(
      [
        '',
        'reached  rows-ints: 2.80 x pg.Pool, the goal is 2.80',
        'reached  rows-ints: 2.90 x postgres.js, the goal is 2.80',
        'reached  rows-ints: 1.20 x pgx v4, the goal is 1.00',
        '',
      ].join('\n'),
    )
  })

  test('are silent when none of their cases was measured', () => {
    expect(goalLines([row('lock-2ms', { lifeguard: 2 }, { 'pg.Pool': 1 })])).toBe('')
  })
})
