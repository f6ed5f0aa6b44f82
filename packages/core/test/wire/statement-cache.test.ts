import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { StatementCache } from '../../src/wire/statement-cache.js'
import { StatementTexts } from '../../src/wire/statement-texts.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table thing (a int, b text); insert into thing values (1, $$one$$)' })

async function prepared(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>({
    text: "select count(*)::int as n from pg_prepared_statements where not from_sql and name like 'lg\\_%' and statement not like '%pg_prepared%'",
  })
  return rows[0]?.n ?? -1
}

test('a text that comes again is prepared; neither Parse nor Describe is sent for it then', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 1 })
  for (let n = 0; n < 3; n++)
    expect((await pool.query('select a, b from thing where a = $1', [1])).rows).toHaveLength(1)
  const before = (await proxy.stats()).messages.toServer
  const result = await pool.query('select a, b from thing where a = $1', [1])
  const after = (await proxy.stats()).messages.toServer
  expect(result.rows).toEqual([{ a: 1, b: 'one' }])
  expect(result.fields.map(({ name }) => name)).toEqual(['a', 'b'])
  expect(result).toMatchObject({ command: 'SELECT', rowCount: 1 })
  const sent = (name: 'Parse' | 'Describe' | 'Bind' | 'Sync'): number => (after[name] ?? 0) - (before[name] ?? 0)
  expect([sent('Parse'), sent('Describe'), sent('Bind'), sent('Sync')]).toEqual([0, 0, 1, 1])
})

test('statementCacheSize bounds what the server keeps; 0 keeps nothing', async () => {
  for (const statementCacheSize of [3, 0]) {
    const pool = testPool(database.url, { max: 1, statementCacheSize })
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 10; n++) expect((await pool.query(`select ${n} as n`)).rows).toEqual([{ n }])
    }
    expect(await prepared(pool)).toBeLessThanOrEqual(statementCacheSize)
    expect(pool.stats().opened).toBe(1)
  }
})

test('the one used the longest time ago goes, and is closed with the next message', () => {
  const texts = new StatementTexts(2)
  const cache = new StatementCache(texts, { parsedStatements: {}, submittedNamedStatements: {} })
  const known = (text: string) => {
    texts.of(text)
    return texts.of(text)
  }
  const [a, b, c] = ['select 1', 'select 2', 'select 3'].map(known)
  if (a === undefined || b === undefined || c === undefined) throw new Error('nothing there')
  cache.automatic(a)
  cache.automatic(b)
  cache.automatic(a)
  cache.automatic(c)
  expect(cache.takeClosing()).toEqual([b.name])
  expect(cache.takeClosing()).toEqual([])
  expect(cache.size).toBe(2)
})

test('what a pool remembers of its texts is bounded in number and in size', () => {
  const texts = new StatementTexts(100)
  for (let n = 0; n < 20_000; n++) texts.of(`select ${n}`)
  expect(texts.size).toBeLessThanOrEqual(2_000)
  const before = texts.size
  for (let n = 0; n < 10; n++) expect(texts.of(`select ${n} /* ${'x'.repeat(20_000)} */`).isWorthPreparing).toBe(false)
  expect(texts.size).toBe(before)
  expect(texts.of('select 1').name).toBe(new StatementTexts(1).of('select 1').name)
})

test.each([
  ['select 1', true],
  ['  -- a word\n /* more */ ( select 1 )', true],
  ['with a as (select 1) insert into thing select * from a', true],
  ['select 1;  ', true],
  ['select 1; select 2', false],
  ['select 1; commit', false],
  ['begin', false],
  ['commit', false],
  ['set work_mem = 1', false],
  ['call p()', false],
  ['do $$ begin end $$', false],
  ['explain select 1', false],
  ['selector', false],
  ['', false],
])('%j is plain: %s', (text, isPlain) => {
  expect(new StatementTexts(1).of(text).isPlain).toBe(isPlain)
})

test('DISCARD ALL and DEALLOCATE ALL go unnoticed, through the pool and past it', async () => {
  const pool = testPool(database.url, { max: 1 })
  const ask = async (): Promise<unknown> => (await pool.query('select a from thing where a = $1', [1])).rows
  for (let n = 0; n < 3; n++) await ask()
  for (const text of ['discard all', 'deallocate all', 'do $$ begin execute $a$deallocate all$a$; end $$']) {
    await pool.query(text)
    for (let n = 0; n < 2; n++) expect(await ask()).toEqual([{ a: 1 }])
  }
  expect(pool.stats().opened).toBe(1)
})

test('a change of the schema goes unnoticed, outside of transactions and inside', async () => {
  const pool = testPool(database.url, { max: 1 })
  const admin = testPool(database.url, { max: 1 })
  await admin.query('create table changing (a int); insert into changing values (1)')
  const ask = 'select * from changing where a = $1'
  for (let n = 0; n < 4; n++) await Promise.all([pool.query(ask, [1]), pool.query(ask, [1])])
  await admin.query('alter table changing add column b int default 5')
  const rows = await Promise.all(Array.from({ length: 6 }, async () => (await pool.query(ask, [1])).rows[0]))
  expect(rows).toEqual(Array.from({ length: 6 }, () => ({ a: 1, b: 5 })))
  await admin.query('alter table changing alter column b type text')
  let attempts = 0
  const inside = await pool.withTransaction(async (tx) => {
    attempts += 1
    return (await tx.query(ask, [1])).rows
  })
  expect(inside).toEqual([{ a: 1, b: '5' }])
  expect(attempts).toBe(2)
})

test('a statement with an error in it is not taken for prepared, and one under the same text can be later', async () => {
  const pool = testPool(database.url, { max: 1 })
  const ask = (): Promise<unknown> => pool.query('select late from later where late = $1', [1])
  for (let n = 0; n < 3; n++) expect((await rejection(ask())).code).toBe('42P01')
  const together = await Promise.allSettled([ask(), ask(), ask()])
  for (const one of together) expect(one).toMatchObject({ reason: { code: '42P01' } })
  await pool.query('create table later (late int)')
  await ask()
  await ask()
  expect(pool.stats().opened).toBe(1)
})

test('a text whose parameters are of a type that a value does not fit stays usable', async () => {
  const pool = testPool(database.url, { max: 1 })
  const ask = (value: unknown): Promise<unknown> => pool.query('select a from thing where a = $1', [value])
  for (let n = 0; n < 3; n++) await ask(1)
  expect((await rejection(ask('no number'))).code).toBe('22P02')
  await ask(1)
})

test('a session that a pooler lends to several: the pool stops preparing', async () => {
  const pool = testPool(database.url, { max: 1 })
  const text = 'select a from thing where a = $1'
  const { name } = new StatementTexts(1).of(text)
  // Somebody else has prepared the same text in this session.
  await pool.query(`prepare "${name}" as ${text}`)
  for (let n = 0; n < 5; n++) expect((await pool.query(text, [1])).rows).toEqual([{ a: 1 }])
  for (let n = 0; n < 3; n++) await pool.query('select b from thing')
  expect(await prepared(pool)).toBe(0)
})

test('a query of `pg` itself runs on a connection between statements', async () => {
  const pool = testPool(database.url, { max: 1 })
  await using connection = await pool.acquire()
  const statement = { name: 'mine', text: 'select $1::int as one', values: [1] }
  expect((await connection.query(statement)).rows).toEqual([{ one: 1 }])
  expect((await connection.query(statement)).rows).toEqual([{ one: 1 }])
  expect((await rejection(connection.query({ ...statement, text: 'select 2' }))).message).toContain('must be unique')
})
