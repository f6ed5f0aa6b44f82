import { expect, test } from 'vitest'
import { chart } from '../src/chart.js'
import type { Row } from '../src/harness.js'
import { orms } from '../src/line-ups/orms.js'
import { pools } from '../src/line-ups/pools.js'
import { json, table } from '../src/table.js'

const machine = { cpu: 'Abacus', cores: 2, node: '24.0.0', postgresql: '18.4' }
const rows: readonly Row[] = [
  {
    case: 'lock-2ms',
    unit: 'round trips',
    lineUp: pools,
    rounds: 5,
    results: { lifeguard: 2, 'pg.Pool': 2.5, 'pg pipelined': 1 },
    ratio: 1.25,
    ratios: { 'pg.Pool': 1.25, 'pg pipelined': 0.5 },
  },
  {
    case: 'orm-select-64-on-8-loopback-kysely',
    unit: 'ops/s',
    lineUp: orms.kysely,
    rounds: 5,
    results: { 'ORM on lifeguard': 30_000, 'ORM on pg.Pool': 20_000, 'ORM alone': 90_000, 'no ORM': 45_000 },
    ratio: 1.5,
    ratios: { 'ORM on pg.Pool': 1.5, 'ORM alone': 1 / 3, 'no ORM': 2 / 3 },
  },
  {
    case: 'orm-select-64-on-8-loopback-prisma',
    unit: 'ops/s',
    lineUp: orms.prisma,
    rounds: 5,
    results: { 'ORM on lifeguard': 9_000, 'ORM on pg.Pool': 9_000, 'ORM alone': 10_000, 'no ORM': 45_000 },
    ratio: 1,
    ratios: { 'ORM on pg.Pool': 1, 'ORM alone': 0.9, 'no ORM': 0.2 },
  },
]

test('the pools stand in one table, all ORMs in another with columns of their own', () => {
  expect(table(rows, machine, 5)).toMatchInlineSnapshot(`
    "2 cores of Abacus, Node 24.0.0, PostgreSQL 18.4
    medians of 5 rounds; a ratio above 1.00 is better

    pools; ratio: lifeguard against pg.Pool

    case      unit         lifeguard  pg.Pool  pg.Pool named  postgres.js  slonik  pg pipelined  ratio
    --------  -----------  ---------  -------  -------------  -----------  ------  ------------  -----
    lock-2ms  round trips       2.00     2.50              -            -       -          1.00   1.25

    ORMs; ratio: ORM on lifeguard against ORM on pg.Pool

    case                                unit   ORM on lifeguard  ORM on pg.Pool  ORM alone  no ORM  ratio
    ----------------------------------  -----  ----------------  --------------  ---------  ------  -----
    orm-select-64-on-8-loopback-kysely  ops/s            30,000          20,000     90,000  45,000   1.50
    orm-select-64-on-8-loopback-prisma  ops/s             9,000           9,000     10,000  45,000   1.00
    "
  `)
})

test('what takes a microsecond or two is shown to a hundredth', () => {
  const row: Row = {
    ...(rows[0] as Row),
    case: 'rows-ints',
    unit: 'us',
    results: { lifeguard: 0.354, 'pg.Pool': 12.4 },
  }
  expect(table([row], machine, 5)).toContain('rows-ints  us         0.35       12')
})

test('in JSON every row says whom its ratio is between', () => {
  expect(JSON.parse(json(rows, machine))).toEqual([
    expect.objectContaining({ case: 'lock-2ms', subject: 'lifeguard', yardstick: 'pg.Pool', rounds: 5, machine }),
    expect.objectContaining({ ratio: 1.5, subject: 'ORM on lifeguard', yardstick: 'ORM on pg.Pool', machine }),
    expect.objectContaining({ ratio: 1, subject: 'ORM on lifeguard', yardstick: 'ORM on pg.Pool', machine }),
  ])
})

test('the picture has a bar for every result, and a legend for each table', () => {
  const picture = chart(rows, machine, 5)
  const bars = rows.flatMap(({ results }) => Object.keys(results))
  const legend = [...pools.peers, ...orms.kysely.peers].map(({ name }) => name)
  // One of them is the background.
  expect(picture.match(/<rect /g)).toHaveLength(1 + bars.length + legend.length)
  for (const name of legend) expect(picture).toContain(`>${name}</text>`)
})
