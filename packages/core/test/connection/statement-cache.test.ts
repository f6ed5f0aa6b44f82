import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { Statement } from '../../src/connection/statement.js'
import { StatementCache, StatementTexts } from '../../src/connection/statement-cache.js'
import { systemClock } from '../../src/deadline/clock.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import type { Pool } from '../../src/index.js'
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
    expect(pool.stats().pool.opened).toBe(1)
  }
})

test('the one used the longest time ago goes, and is closed with the next message', () => {
  const texts = new StatementTexts(2)
  const cache = new StatementCache(texts, { parsedStatements: {}, submittedNamedStatements: {} }, { now: () => 0 })
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
])('%j is about rows: %s', (text, isAboutRows) => {
  expect(new StatementTexts(1).of(text).sql.isAboutRows).toBe(isAboutRows)
})

test('DISCARD ALL and DEALLOCATE ALL go unnoticed, through the pool and past it', async () => {
  const pool = testPool(database.url, { max: 1 })
  const ask = async (): Promise<unknown> => (await pool.query('select a from thing where a = $1', [1])).rows
  for (let n = 0; n < 3; n++) await ask()
  for (const text of ['discard all', 'deallocate all', 'do $$ begin execute $a$deallocate all$a$; end $$']) {
    await pool.query(text)
    for (let n = 0; n < 2; n++) expect(await ask()).toEqual([{ a: 1 }])
  }
  expect(pool.stats().pool.opened).toBe(1)
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

test('a statement that was prepared under a name is run again by the name alone, as with pg', async () => {
  const pool = testPool(database.url, { max: 1 })
  const client = await pool.asPgPool().connect()
  try {
    await client.query({ name: 'n1', text: 'select $1::int as a', values: [1] })
    const again = { name: 'n1', values: [2] } as unknown as { text: string }
    expect((await client.query(again)).rows).toEqual([{ a: 2 }])
    await expect(client.query({ name: 'n1', text: 'select 2' })).rejects.toThrow(/must be unique/)
  } finally {
    client.release()
  }
})

describe('a column that has got another type', () => {
  const add = 'insert into typed values ($1, $2)'

  async function warm(pool: Pool, type: string, value: unknown): Promise<void> {
    await pool.query(`drop table if exists typed; create table typed (id int, v ${type})`)
    for (let id = 0; id < 4; id++) await pool.query(add, [id, value])
  }

  test.each([
    ['int', 'bigint', 1, '5000000000'],
    ['int', 'numeric', 1, '1.5'],
    ['int', 'text', 1, 'one'],
    ['text', 'jsonb using null', 'x', '{"a":1}'],
    ['text', 'uuid using null', 'x', '00000000-0000-4000-8000-000000000000'],
  ])('%s to %s by somebody else: values of the new type are taken at once', async (from, to, before, after) => {
    const pool = testPool(database.url, { max: 1 })
    const admin = testPool(database.url, { max: 1 })
    await warm(pool, from, before)
    await admin.query(`alter table typed alter v type ${to}`)
    expect((await pool.query(add, [9, after])).rowCount).toBe(1)
    const { rows } = await pool.query<{ v: unknown }>('select v::text as v from typed where id = 9')
    expect(String(rows[0]?.v).replace(' ', '')).toBe(after)
    expect(pool.stats().pool.opened).toBe(1)
  })

  test('what is no value of the new type either fails as ever, and what it fails with is said once', async () => {
    const pool = testPool(database.url, { max: 1 })
    await warm(pool, 'int', 1)
    for (let n = 0; n < 3; n++) expect((await rejection(pool.query(add, [9, 'one']))).code).toBe('22P02')
    expect((await pool.query(add, [9, 2])).rowCount).toBe(1)
  })

  test('in a transaction the attempt fails, and the next one is right', async () => {
    const pool = testPool(database.url, { max: 1 })
    const admin = testPool(database.url, { max: 1 })
    await warm(pool, 'int', 1)
    await admin.query('alter table typed alter v type bigint')
    const insert = (): Promise<unknown> => pool.withTransaction((tx) => tx.query(add, [9, '5000000000']))
    expect((await rejection(insert())).code).toBe('22003')
    await insert()
  })

  test('altered over this pool no digit is lost on any of its connections', async () => {
    const pool = testPool(database.url, { max: 2 })
    await warm(pool, 'real', 1)
    await using held = await pool.acquire()
    for (let id = 0; id < 4; id++) await held.query(add, [id, 1])
    await pool.query('alter table typed alter v type numeric')
    await held.query(add, [9, '16777217.123456'])
    const { rows } = await pool.query('select v::text as v from typed where id = 9')
    expect(rows).toEqual([{ v: '16777217.123456' }])
  })
})

test('a statement is prepared anew when it has been kept for a minute, under its name', () => {
  let now = 0
  const texts = new StatementTexts(2)
  const cache = new StatementCache(texts, { parsedStatements: {}, submittedNamedStatements: {} }, { now: () => now })
  texts.of('select 1')
  const known = texts.of('select 1')
  const first = cache.automatic(known)
  now = 59_999
  expect(cache.automatic(known)).toBe(first)
  now = 60_000
  const second = cache.automatic(known)
  expect([second === first, second?.isRenewal, second?.name === first?.name]).toEqual([false, true, true])
  expect(cache.automatic(known)).toBe(second)
  expect([cache.size, cache.takeClosing()]).toEqual([1, []])
  // Should it not get through, the older one is still to be closed.
  if (second !== undefined) cache.forget(second, false)
  expect(cache.takeClosing()).toEqual([known.name])
})

test('a schema that a transaction itself changes goes unnoticed in it, as does another search_path', async () => {
  const pool = testPool(database.url, { max: 1 })
  await pool.query('create table own (a int); insert into own values (1)')
  await pool.query('create schema other; create table other.own (b text, c text); insert into other.own values (2, 3)')
  const ask = 'select * from own'
  for (let n = 0; n < 3; n++) await pool.query(ask)
  let attempts = 0
  const seen = await pool.withTransaction(async (tx) => {
    attempts += 1
    const rows = async (): Promise<unknown> => (await tx.query(ask)).rows[0]
    const all = [await rows()]
    await tx.query('alter table own add column z int default 7')
    all.push(await rows(), await rows())
    await tx.query('set local search_path to other')
    all.push(await rows())
    return all
  })
  expect([attempts, seen]).toEqual([1, [{ a: 1 }, { a: 1, z: 7 }, { a: 1, z: 7 }, { b: '2', c: '3' }]])
  expect((await pool.query(ask)).rows).toEqual([{ a: 1, z: 7 }])
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
  expect(pool.stats().pool.opened).toBe(1)
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

test('what goes ahead of a stale statement is not run again: a COMMIT that rolled back stays a ROLLBACK', async () => {
  const connection = await Connection.open({ connectionString: database.url }, systemClock)
  connection.remember(new StatementTexts(10))
  try {
    const run = (text: string): Promise<unknown> => connection.run(new Statement({ text }), noDeadline)
    const question = 'select pg_current_wal_insert_lsn()'
    // Where the client does not see it, as a pooler does it that lends another session.
    await run('create function forget_all() returns void language plpgsql as $$ begin deallocate all; end $$')
    for (let n = 0; n < 3; n++) await run(question)
    await run('begin')
    await run('select forget_all()')
    await rejection(run('select 1 / 0'))
    const words: string[] = []
    const commit = { text: 'commit', onComplete: (word: string) => words.push(word) }
    const asked = connection.run(new Statement({ text: question }, [commit]), noDeadline)
    expect(await rejection(asked)).toMatchObject({ code: '26000' })
    expect(words).toEqual(['ROLLBACK'])
    // It is prepared anew.
    await run(question)
  } finally {
    await connection.close()
  }
})
