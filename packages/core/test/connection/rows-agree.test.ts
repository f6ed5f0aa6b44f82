import { inspect, isDeepStrictEqual } from 'node:util'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { beforeAll, expect, test } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { onServer } from '../support/test-cluster.js'
import { testPool } from '../support/test-pool.js'
import { named, ownTypes, values } from '../support/values-of-types.js'

const database = useDatabase()

beforeAll(async () => {
  for (const text of ownTypes) await onServer(database.url, text)
})

/** What the pool gives is held against what a client of `pg` gives. */
async function expectSame(
  text: string,
  options: Omit<PoolOptions, 'connectionString'>,
  rowMode?: 'array',
): Promise<void> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  for (const [name, value] of Object.entries(options.settings ?? {}))
    await client.query('select set_config($1, $2, false)', [name, String(value)])
  const expected: { readonly rows: unknown[] } = await client.query({
    text,
    ...(rowMode && { rowMode }),
  } as pg.QueryConfig)
  await client.end()
  const pool = testPool(database.url, { max: 1, ...options })
  const same = (how: string, rows: readonly unknown[]): void => {
    if (!isDeepStrictEqual(rows, expected.rows))
      expect.unreachable(`${how}: ${inspect(rows)}, not ${inspect(expected.rows)}`)
  }
  // At first as text; once the columns of what is prepared are known, each in the format that suits it.
  for (const how of ['new', 'prepared', 'known', 'known again']) same(how, (await pool.query({ text, rowMode })).rows)
  same('named', (await pool.query({ text, rowMode, name: 'mine' })).rows)
  same('named again', (await pool.query({ text, rowMode, name: 'mine' })).rows)
  const batches = await pool.batch([
    { text, rowMode },
    { text, rowMode },
  ])
  for (const { rows } of batches) same('batch', rows)
  await pool.withTransaction(async (tx) => {
    for (const how of ['transaction', 'transaction again']) same(how, (await tx.query({ text, rowMode })).rows)
  })
  if (rowMode !== undefined) return
  const streamed: unknown[] = []
  for await (const row of pool.stream({ text }, { batchSize: 1 })) streamed.push(row)
  same('stream', streamed)
  await pool.end()
}

test.each(Object.entries(values))('values are those that pg gives: %s', async (_kind, list) => {
  const text = named(list)
  await expectSame(text, {})
  await expectSame(text, {}, 'array')
  await expectSame(`${text} from generate_series(1, 100)`, {})
})

const sessions = [
  { timezone: 'America/St_Johns' },
  { timezone: 'Asia/Kolkata' },
  { timezone: 'Pacific/Apia' },
  { bytea_output: 'escape' },
  { extra_float_digits: '0' },
  { extra_float_digits: '-5' },
]

test.each(sessions)('also in a session with %j', async (settings) => {
  for (const kind of ['real', 'bytes', 'day', 'local', 'moment', 'arrays'] as const)
    await expectSame(named(values[kind]), { settings })
})

test('rows of a cursor that is BINARY are as pg gives them', async () => {
  const text = "begin; declare c binary cursor for select 1 as a, 'x' as b; fetch all from c; commit"
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const expected = (await client.query(text)) as unknown as { readonly rows: unknown[] }[]
  await client.end()
  const found = (await testPool(database.url).query(text)) as unknown as { readonly rows: unknown[] }[]
  expect(found.map(({ rows }) => rows)).toEqual(expected.map(({ rows }) => rows))
})

test('columns of the same name, and names that objects have, are as pg has them', async () => {
  await expectSame('select 1 as a, null as b, 2 as a', {})
  await expectSame(
    `select 1 as "__proto__", 2 as "constructor", 3 as "toString", 4 as "0", 5 as " ", 6 as ${pg.escapeIdentifier('"]; x')}`,
    {},
  )
})

test('a parser that is set later is used from the next run on', async () => {
  const pool = testPool(database.url, { max: 1 })
  const text = "select 7 as n, '2024-01-31 00:00+00'::timestamptz as t"
  for (let n = 0; n < 3; n++)
    expect((await pool.query(text)).rows).toEqual([{ n: 7, t: new Date('2024-01-31T00:00Z') }])
  const before = [23, 1184].map((oid) => [oid, pg.types.getTypeParser(oid as never, 'text')] as const)
  try {
    for (const [oid] of before) pg.types.setTypeParser(oid as never, (text: string) => `own: ${text.slice(0, 10)}`)
    for (let n = 0; n < 2; n++)
      expect((await pool.query(text)).rows).toEqual([{ n: 'own: 7', t: expect.stringMatching(/^own: 2024-01/) }])
  } finally {
    for (const [oid, parser] of before) pg.types.setTypeParser(oid as never, parser as never)
  }
  expect((await pool.query(text)).rows).toEqual([{ n: 7, t: new Date('2024-01-31T00:00Z') }])
})
