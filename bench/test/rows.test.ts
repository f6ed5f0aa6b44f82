import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { cases } from '../src/cases.js'
import { chosenPeers } from '../src/limits.js'
import type { LineUp } from '../src/line-up.js'
import { pools } from '../src/line-ups/pools.js'
import { rowReaders } from '../src/line-ups/row-readers.js'
import { childTimes } from '../src/outside/client-programs.js'
import { readingHere } from '../src/read-rows.js'
import { bytesTable, type RowsTable, tableOf } from '../src/rows-tables.js'

const database = useDatabase()
const tables: readonly RowsTable[] = [
  ...(['ints', 'text', 'mixed', 'times', 'json', 'five'] as const).map((kind) => tableOf(kind, 100)),
  bytesTable(3, 4_096),
]

beforeAll(async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  // Twice, as several cases may read the same.
  for (const { setup } of [...tables, ...tables]) for (const statement of setup) await client.query(statement)
  await client.end()
})

const inNode = chosenPeers(cases, false).peersOf(rowReaders)

describe('the cases of rows', () => {
  test.each(inNode)('$name reads every table to its end, by one caller and by many', async ({ open }) => {
    const session = await open(database.url, 2)
    try {
      for (const table of tables) {
        for (const callers of [1, 8]) {
          const load = await session.rows?.({ table, callers, ms: 0 })
          expect(load).toEqual({ rows: callers * table.rows, elapsedMs: expect.any(Number), cpuUs: expect.any(Number) })
        }
        expect(await session.rowsPeak?.(table)).toBeGreaterThan(10)
      }
    } finally {
      await session.end()
    }
  })

  test('refuse an answer that is not whole', async () => {
    const [table] = tables as readonly [RowsTable]
    const { rows } = readingHere(async () => [{ a: 1 }, { a: 2 }])
    await expect(rows({ table, callers: 1, ms: 0 })).rejects.toThrow(`wrong sum: 3 of the 100 rows of ${table.name}`)
  })
})

describe('programs outside of Node', () => {
  const absent = { name: 'absent', open: () => Promise.reject(new Error('is not opened')), missing: () => 'a thing' }
  const present = { ...absent, name: 'present', missing: () => undefined }
  const lineUp: LineUp = { ...pools, peers: [...pools.peers, absent, present] }
  const read = { ...(cases[0] as (typeof cases)[number]), lineUp }

  test('are left out unless they are asked for', () => {
    const { peersOf, leftOut } = chosenPeers([read], false)
    expect(peersOf(lineUp)).toEqual(pools.peers)
    expect(leftOut).toEqual([])
    expect(inNode.map(({ name }) => name)).toEqual(['lifeguard', 'pg.Pool', 'pg.Pool named', 'postgres.js', 'slonik'])
  })

  test('are measured where they are installed, and the others say what they need', () => {
    const { peersOf, leftOut } = chosenPeers([read], true)
    expect(peersOf(lineUp)).toEqual([...pools.peers, present])
    expect(leftOut).toEqual(['--limits: absent is left out; it needs a thing'])
  })

  test.each([
    ['0m0.00s 0m0.01s\n0m1.25s 0m0.50s\n', 1_750_000],
    ['0m0.002s 0m0.001s\n1m2.250s 0m0.500s\n', 62_750_000],
    ['tps = 5\n0m0.000000s 0m0.000000s\n0m0.030000s 0m0.000000s\n', 30_000],
  ])('the shell says what processor time they took: %j', (said, us) => {
    expect(childTimes(said)).toBe(us)
  })

  test('or that is an error', () => {
    expect(() => childTimes('0m1.0')).toThrow('no times at the end of: 0m1.0')
  })
})
