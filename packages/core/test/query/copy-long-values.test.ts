import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, expect, test } from 'vitest'
import { sql } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int, name text, data bytea)' })
const target = { table: 'item', columns: ['id', 'name', 'data'] } as const

beforeEach(async () => {
  await testPool(database.url, { max: 1 }).query('truncate item')
})

test('a value of 90 MB with 45 million line ends goes in and out', { timeout: 240_000 }, async () => {
  const pool = testPool(database.url, { max: 1 })
  const value = 'a\n'.repeat(45_000_000)
  const before = process.memoryUsage().rss
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss - before)
  }, 20)
  try {
    expect((await pool.copyFrom(target, [[1, value, null]])).bytes).toBe(135_000_000 + '1\t\t\\N\n'.length)
    const same = sql`select name = repeat(${'a\n'}, 45000000) as same from item`
    expect((await pool.query(same)).rows).toEqual([{ same: true }])
    let bytes = 0
    for await (const chunk of pool.copyTo({ table: 'item', columns: ['name'] })) bytes += (chunk as Buffer).length
    expect(bytes).toBe(135_000_001)
  } finally {
    clearInterval(watch)
  }
  // Its escaped form alone has 135 MB, and is never there as a whole.
  expect(most).toBeLessThan(450_000_000)
})

test('a long value is cut nowhere that shows, as text or as bytes', async () => {
  const pool = testPool(database.url, { max: 1 })
  const names = [32_766, 32_767, 32_768, 32_769, 65_535, 65_536].map(
    (units) => `${'\t'.repeat(units)}\u{1f600}\\${'\u{1f600}\r\n'.repeat(30_000)}`,
  )
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, n) => n % 251))
  const rows = names.map((name, id) => [id, name, new Uint8Array(bytes.buffer, bytes.byteOffset + id, 99_000)])
  expect(await pool.copyFrom(target, rows)).toMatchObject({ rowCount: names.length })
  const { rows: seen } = await pool.query<{ name: string; data: Buffer }>('select name, data from item order by id')
  expect(seen.map(({ name }) => name)).toEqual(names)
  expect(seen.map(({ data }, id) => data.equals(bytes.subarray(id, id + 99_000)))).toEqual(names.map(() => true))
})

test('a literal of millions of characters that are escaped', { timeout: 120_000 }, async () => {
  const pool = testPool(database.url, { max: 1 })
  const value = '\\\u00e4'.repeat(1_000_000)
  let out = ''
  for await (const chunk of pool.copyTo(sql`select length(${value}::text)`)) out += String(chunk)
  expect(out).toBe('2000000\n')
})
