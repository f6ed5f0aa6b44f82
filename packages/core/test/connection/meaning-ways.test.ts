import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Pool, PoolOptions } from '../../src/index.js'
import {
  type Asker,
  asAdmin,
  day,
  earlyAndLate,
  empty,
  item,
  makeItem,
  moment,
  poolOfEarlyAndLate,
  rowsNow,
  span,
  warm,
} from '../support/meanings.js'
import { rejection } from '../support/test-pool.js'

const role = `ways_${process.pid}`
const database = useDatabase({
  setup: `
    ${earlyAndLate}
    create function late.f(numeric) returns text language sql as $$ select 'numeric' $$;
    create procedure make() language plpgsql as $$ begin create table early.item as select 'early'::text as v; end $$;
    create function make_it() returns void language plpgsql as $$
      begin create table early.item as select 'early'::text as v; end $$;
    create procedure set_zone(name text) language plpgsql as $$ begin perform set_config('TimeZone', name, false); end $$;
    create function set_path(path text) returns void language plpgsql as $$
      begin execute 'set search_path = ' || path; end $$;
    create function set_role(name text) returns text language plpgsql as $$
      begin return set_config('role', name, false); end $$;
    create function set_any(name text, value text) returns text language plpgsql as $$
      begin return set_config(name, value, false); end $$;
    create function within_own_path() returns text language sql set search_path = early, late as $$ select 'x'::text $$`,
})
beforeAll(async () => {
  await admin(`create role ${role}; grant ${role} to current_user; create schema ${role};
    create table ${role}.item (v text); insert into ${role}.item values ('role');
    grant usage on schema ${role}, late, early to ${role}; grant select on ${role}.item, late.item to ${role}`)
})
afterAll(() => admin(`drop schema ${role} cascade; drop owned by ${role}; drop role ${role}`))

function admin(text: string): Promise<void> {
  return asAdmin(database.url, text)
}

function poolWith(options: Omit<PoolOptions, 'connectionString'> = {}): Pool {
  return poolOfEarlyAndLate(database.url, { max: 2, ...options })
}

const f = 'select f($1::int) as v'

describe('a table that any connection of the pool makes is seen by all of them', () => {
  test.each<[way: string, run: (pool: Pool) => Promise<unknown>]>([
    ['a query', (pool) => pool.query(makeItem)],
    [
      'a query with comments between its words',
      (pool) => pool.query(`/* a */ create--;\rtable early.item as ${"select 'early'::text as v"}`),
    ],
    ['a query with a name', (pool) => pool.query({ name: 'make', text: makeItem })],
    [
      'a query with values',
      (pool) => pool.query("select v into early.item from (select 'early'::text as v) a where $1 = 1", [1]),
    ],
    ['several statements', (pool) => pool.query(`select 1; ${makeItem}; select 2`)],
    ['a transaction in one text', (pool) => pool.query(`begin; ${makeItem}; commit`)],
    ['a transaction', (pool) => pool.withTransaction((tx) => tx.query(makeItem))],
    ['a savepoint', (pool) => pool.withTransaction((tx) => tx.withTransaction((inner) => inner.query(makeItem)))],
    ['a batch', (pool) => pool.batch([{ text: 'select 1' }, { text: makeItem }])],
    [
      'a batch in a transaction',
      (pool) => pool.withTransaction((tx) => tx.batch([{ text: makeItem }, { text: 'select 1' }])),
    ],
    ['a procedure', (pool) => pool.query('call make()')],
    ['a procedure with values', (pool) => pool.query('call make() /* $1 */')],
    ['a procedure in a transaction', (pool) => pool.withTransaction((tx) => tx.query('/**/ CALL make()'))],
    ['a procedure in a batch', (pool) => pool.batch([{ text: 'select 1' }, { text: 'call make()' }])],
    ['a DO that calls a function', (pool) => pool.query('do $$ begin perform make_it(); end $$')],
    ['a DO that puts its words together', (pool) => pool.query("do 'begin perform make_it(); end'")],
    [
      'a connection of its own, by hand',
      async (pool) => {
        await using connection = await pool.acquire()
        for (const text of ['begin', makeItem, 'commit']) await connection.query(text)
      },
    ],
    [
      'COMMIT AND CHAIN by hand',
      async (pool) => {
        await using connection = await pool.acquire()
        for (const text of ['begin', makeItem, 'commit and chain', 'rollback']) await connection.query(text)
      },
    ],
    ['a query of the facade', (pool) => pool.asPgPool().query(makeItem)],
    [
      'a client of the facade',
      async (pool) => {
        const client = await pool.asPgPool().connect()
        try {
          for (const text of ['begin', makeItem, 'end']) await client.query(text)
        } finally {
          client.release()
        }
      },
    ],
    [
      'a Query of pg',
      async (pool) => {
        const client = await pool.asPgPool().connect()
        try {
          const query = new pg.Query(makeItem)
          const ended = new Promise((resolve, reject) => query.once('end', resolve).once('error', reject))
          client.query(query)
          await ended
        } finally {
          client.release()
        }
      },
    ],
    [
      'a stream',
      async (pool) => {
        for await (const row of pool.stream(`explain (analyze, format json) ${makeItem}`)) expect(row).toBeDefined()
      },
    ],
    [
      'a text among those of a lane',
      (pool) => Promise.all([...Array.from({ length: 20 }, () => pool.query(item, [1])), pool.query(makeItem)]),
    ],
  ])('%s', async (_, run) => {
    const pool = poolWith()
    const held = await pool.acquire()
    try {
      expect(await warm(held, item)).toEqual([{ v: 'late' }])
      await warm(pool, item)
      await run(pool)
      expect(await rowsNow(held, item)).toEqual([{ v: 'early' }])
      expect(await rowsNow(pool, item)).toEqual([{ v: 'early' }])
      await pool.query('drop table early.item')
      expect(await rowsNow(held, item)).toEqual([{ v: 'late' }])
    } finally {
      await held.release()
      await admin('drop table if exists early.item')
    }
  })

  test('not before its transaction has committed, although others have prepared in between', async () => {
    const pool = poolWith({ max: 3 })
    await using held = await pool.acquire()
    await using other = await pool.acquire()
    await other.query('begin')
    await other.query(makeItem)
    expect(await warm(held, item)).toEqual([{ v: 'late' }])
    expect(await rowsNow(other, item)).toEqual([{ v: 'early' }])
    await other.query('commit')
    expect(await rowsNow(held, item)).toEqual([{ v: 'early' }])
    await other.query('begin')
    await other.query('drop table early.item')
    expect(await rowsNow(other, item)).toEqual([{ v: 'late' }])
    await other.query('rollback')
    expect(await rowsNow(other, item)).toEqual([{ v: 'early' }])
    await other.query('drop table early.item')
  })

  test('a better overload', async () => {
    const pool = poolWith()
    await using held = await pool.acquire()
    expect(await warm(held, f)).toEqual([{ v: 'numeric' }])
    await pool.query("create function late.f(int) returns text language sql as $$ select 'int' $$")
    expect(await rowsNow(held, f)).toEqual([{ v: 'int' }])
    await pool.query('drop function late.f(int)')
    expect(await rowsNow(held, f)).toEqual([{ v: 'numeric' }])
  })
})

describe('a session that is changed', () => {
  test.each<[text: string, change: string, value: unknown]>([
    [item, `set role ${role}`, 'role'],
    [item, `set /**/ local role ${role}`, 'role'],
    [item, `set session authorization ${role}`, 'role'],
    [item, `SET--\rSESSION AUTHORIZATION '${role}'`, 'role'],
    [item, `select set_config('role', '${role}', false)`, 'role'],
    [item, `select 1 as one, (select set_config(lower('ROLE'), '${role}', true)) from late.item`, 'role'],
    [item, `select set_role('${role}')`, 'role'],
    [item, `do $$ begin perform set_role('${role}'); end $$`, 'role'],
    [item, `select set_path('${role}')`, 'role'],
    [item, `do $$ begin set search_path = ${role}; end $$`, 'role'],
    [item, `with a as materialized (select set_config('search_path', '${role}', false)) select * from a`, 'role'],
    [item, "create temp table item as select 'temp'::text as v", 'temp'],
    [item, "create/**/temporary--\rtable item as select 'temp'::text as v", 'temp'],
    [item, "select 'temp'::text as v into local temp item", 'temp'],
    [moment, "call set_zone('America/New_York')", Date.UTC(2024, 0, 31, 5) / 1_000],
    [moment, "select set_any('TimeZone', 'America/New_York')", Date.UTC(2024, 0, 31, 5) / 1_000],
    [moment, "set local time zone 'America/New_York'", Date.UTC(2024, 0, 31, 5) / 1_000],
    [day, "select set_any('DateStyle', 'ISO, DMY')", 2],
    [day, "do $$ begin set datestyle = 'ISO, DMY'; end $$", 2],
    [span, "select set_any('IntervalStyle', 'sql_standard')", -(86_400 + 7_384)],
    [empty, 'set/**/transform_null_equals = on', false],
    [empty, 'do $$ begin set transform_null_equals = on; end $$', false],
  ])('%s: %s', async (text, change, value) => {
    const pool = poolWith({ max: 1, settings: { search_path: '"$user", early, late, public' } })
    const before = await warm(pool, text)
    expect(before).not.toEqual([{ v: value }])
    const run = async (asker: Asker): Promise<void> => {
      await warm(asker, text)
      await asker.query(change)
      expect(await rowsNow(asker, text)).toEqual([{ v: value }])
      await warm(asker, text)
    }
    // In a transaction, which undoes it; then for the session.
    const undone = pool.withTransaction(async (tx) => {
      await run(tx)
      throw new Error('undo')
    })
    expect((await rejection(undone)).message).toBe('undo')
    await pool.query('discard all')
    expect(await rowsNow(pool, text)).toEqual(before)
    if (!change.includes('local') && !change.includes('true')) {
      await using connection = await pool.acquire()
      await run(connection)
      await connection.query('reset session authorization; reset role; discard temp; reset all')
    }
    expect(await rowsNow(pool, text)).toEqual(before)
  })

  test('a function with a SET of its own leaves what others mean as it is', async () => {
    const pool = poolWith({ max: 1, settings: { search_path: 'late' } })
    await warm(pool, item)
    await pool.query(makeItem)
    expect(await rowsNow(pool, item)).toEqual([{ v: 'late' }])
    for (let n = 0; n < 4; n++) await pool.query('select public.within_own_path()')
    expect(await rowsNow(pool, item)).toEqual([{ v: 'late' }])
    await pool.query('drop table early.item')
  })

  test('by the rows of a cursor, which are read later', async () => {
    const pool = poolWith({ max: 1 })
    await using connection = await pool.acquire()
    const set = "select set_config('transform_null_equals', 'on', false)"
    await connection.query('begin')
    expect(await warm(connection, empty)).toEqual([{ v: true }])
    await connection.query(`declare c cursor for ${set}`)
    expect(await warm(connection, empty)).toEqual([{ v: true }])
    await connection.query('fetch all from c')
    expect(await rowsNow(connection, empty)).toEqual([{ v: false }])
    await connection.query('rollback')
    expect(await rowsNow(connection, empty)).toEqual([{ v: true }])
    await connection.query('begin')
    await connection.query(`declare d cursor with hold for ${set}`)
    await warm(connection, empty)
    await connection.query('commit')
    expect(await rowsNow(connection, empty)).toEqual([{ v: false }])
    await connection.query('close all; reset all')
  })

  test('by ALTER ROLE, for sessions that are opened behind it', async () => {
    const pool = poolWith({ max: 1 })
    const before = await warm(pool, moment)
    const { rows } = await pool.query<{ name: string }>('select current_database() as name')
    const settings = `alter role current_user in database "${rows[0]?.name}"`
    await pool.query(`${settings} set TimeZone = 'America/New_York'`)
    try {
      expect(await rowsNow(pool, moment)).toEqual(before)
      await pool.evict('graceful')
      expect(await rowsNow(pool, moment)).toEqual([{ v: Date.UTC(2024, 0, 31, 5) / 1_000 }])
      await warm(pool, moment)
      expect(await rowsNow(pool, moment)).toEqual([{ v: Date.UTC(2024, 0, 31, 5) / 1_000 }])
    } finally {
      await pool.query(`${settings} reset TimeZone`)
    }
  })
})

test('a text is read once, however many statements and repetitions of it there are', async () => {
  const pool = poolWith({ max: 1 })
  // Each of them read in full after each statement would take minutes.
  const count = 40_000
  const results = (await pool.query("set application_name = 'a';".repeat(count))) as unknown as unknown[]
  expect(results).toHaveLength(count)
  const long = `select 1 as one /* ${'x'.repeat(10_000)} */ from late.item`
  const answers = await pool.batch(Array.from({ length: 5_000 }, () => ({ text: long })))
  expect(answers).toHaveLength(5_000)
})

test('where a backslash is no escape, and where it is one', async () => {
  const inside = "select 'a\\' as v, ' into temp item from late.item --' as w from late.item where $1::int = 1"
  for (const standard_conforming_strings of ['on', 'off']) {
    const pool = poolWith({ max: 1, settings: { search_path: 'late', standard_conforming_strings } })
    await warm(pool, item)
    if (standard_conforming_strings === 'on') await warm(pool, inside)
    else {
      // Here the string ends later, and the text makes a table.
      await pool.query("select 'a\\' as v, ' as v into temp item from late.item --' from late.item")
    }
    expect(await rowsNow(pool, item)).toEqual([{ v: standard_conforming_strings === 'on' ? 'late' : "a' as v, " }])
  }
})

describe('literals that depend on when they are read', () => {
  test.each([
    "'now'",
    "' NOW '",
    "E'no\\w'",
    "E'\\nnow'",
    "E'n\\157w'",
    "e'no\\x77'",
    "U&'no\\0077'",
    '$$now$$',
    "'no'\n'w'",
    "'n' -- o\r'ow'",
    "N'now'",
  ])('%j is the time at which it runs', async (literal) => {
    const pool = poolWith({ max: 1 })
    const text = `select ${literal}::timestamptz = transaction_timestamp() as v where $1::int = 1`
    for (let n = 0; n < 4; n++) expect((await pool.query(text, [1])).rows).toEqual([{ v: true }])
    await pool.withTransaction(async (tx) => {
      for (let n = 0; n < 3; n++) expect((await tx.query(text, [1])).rows).toEqual([{ v: true }])
    })
    const all = await Promise.all(Array.from({ length: 20 }, () => pool.query(text, [1])))
    for (const { rows } of all) expect(rows).toEqual([{ v: true }])
  })
})
