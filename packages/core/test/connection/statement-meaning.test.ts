import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StatementTexts } from '../../src/connection/statement-cache.js'
import type { Pool, PoolOptions } from '../../src/index.js'
import {
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
import { rejection, testPool } from '../support/test-pool.js'

const role = `meaning_${process.pid}`
const database = useDatabase({
  setup: `
    ${earlyAndLate}
    create function late.f(text) returns text language sql as $$ select 'late' $$;
    create function late.g(bigint) returns text language sql as $$ select 'bigint' $$;
    create procedure make() language plpgsql as $$ begin create table early.item as select 'made' as v; end $$;
    create procedure make_and_fail() language plpgsql as $$
      begin create table early.item as select 'made' as v; commit; raise exception 'no'; end $$;
    create function zone(name text) returns text language sql as $$ select set_config('TimeZone', name, false) $$`,
})
beforeAll(async () => {
  await admin(`create role ${role}; grant ${role} to current_user`)
})
afterAll(async () => {
  await admin(`drop role ${role}`)
})

function admin(text: string): Promise<void> {
  return asAdmin(database.url, text)
}

function poolWith(options: Omit<PoolOptions, 'connectionString'> = {}): Pool {
  return poolOfEarlyAndLate(database.url, { max: 1, ...options })
}

const f = "select f('x') as v where $1::int = 1"
const g = 'select g(1::int) as v where $1::int = 1'

describe('a prepared statement means what its text means now, after', () => {
  test.each<[text: string, change: string]>([
    [item, 'create table early.item (v text)'],
    [item, "/* a */ create temp table item as select 'temp' as v"],
    [item, "select 'temp' as v into temp item"],
    [item, "select 'early'::text as v into early.item"],
    [item, "with x as (select 'early'::text as v) select v INTO early.item from x"],
    [item, makeItem],
    [item, "create view early.item as select 'view'::text as v"],
    [item, "explain analyze create table early.item as select 'early'::text as v"],
    [item, "do $$ begin create table early.item as select 'early'::text as v; end $$"],
    [item, "begin; create table early.item as select 'early'::text as v; commit"],
    [item, 'call make()'],
    [item, 'create table public.item (v text); set search_path = public'],
    [
      item,
      'alter table late.item set schema early; create table late.item (v text); update early.item set v = $$moved$$',
    ],
    [f, "create function early.f(text) returns text language sql as $$ select 'early' $$"],
    [g, "create function late.g(int) returns text language sql as $$ select 'int' $$"],
    [moment, "set time zone 'America/New_York'"],
    [moment, "set session characteristics as transaction read write; set TimeZone to 'Asia/Tokyo'"],
    [moment, "select zone('America/New_York')"],
    [moment, "select set_config('timezone', 'America/New_York', false)"],
    [moment, "select pg_catalog.set_config(lower('TIMEZONE'), 'America/New_York', false)"],
    [moment, "update pg_settings set setting = 'America/New_York' where name = 'TimeZone'"],
    [day, "set datestyle = 'ISO, DMY'"],
    [span, 'set intervalstyle = sql_standard'],
    [empty, 'set transform_null_equals = on'],
    [empty, "select set_config('transform_null_equals', 'on', false)"],
    [empty, "select u&\"set\\005fconfig\"('transform_null_equals', 'on', false)"],
  ])('%s: %s', async (text, change) => {
    const pool = poolWith()
    const before = await warm(pool, text)
    await pool.query(change)
    const after = await rowsNow(pool, text)
    expect(after).not.toEqual(before)
    await pool.query(
      'reset all; drop table if exists pg_temp.item; drop table if exists public.item; drop function if exists early.f(text); drop function if exists late.g(int)',
    )
    await admin(
      "do $$ begin if exists (select from pg_class where oid = to_regclass('early.item') and relkind = 'v') then drop view early.item; else drop table if exists early.item; end if; end $$; drop table if exists late.item; create table late.item (v text); insert into late.item values ('late')",
    )
  })

  test('a procedure that commits and then fails', async () => {
    const pool = poolWith()
    await warm(pool, item)
    await rejection(pool.query('call make_and_fail()'))
    expect(await rowsNow(pool, item)).toEqual([{ v: 'made' }])
    await pool.query('drop table early.item')
    expect(await rowsNow(pool, item)).toEqual([{ v: 'late' }])
  })

  test('a batch, a stream that is not read to its end, and a query of pg itself', async () => {
    const pool = poolWith()
    await warm(pool, item)
    await pool.batch([
      { text: 'create table early.item (v text)' },
      { text: "insert into early.item values ('early')" },
    ])
    expect(await rowsNow(pool, item)).toEqual([{ v: 'early' }])
    const client = await pool.asPgPool().connect()
    try {
      const query = new pg.Query("create temp table item as select 'temp' as v")
      await new Promise((resolve) => {
        query.once('end', resolve)
        client.query(query)
      })
      expect(await rowsNow(client, item)).toEqual([{ v: 'temp' }])
    } finally {
      client.release()
    }
    await pool.query('discard temp; drop table early.item')
    expect(await rowsNow(pool, item)).toEqual([{ v: 'late' }])
    await using connection = await pool.acquire()
    await warm(connection, empty)
    const settings = "select set_config('transform_null_equals', 'on', false) from generate_series(1, 1000)"
    for await (const _ of connection.stream(settings, [], { batchSize: 10 })) break
    await rowsNow(connection, empty)
  })

  test('a transaction that makes a table, and undoes it wholly or in part', async () => {
    const pool = poolWith()
    await warm(pool, item)
    const undone = pool.withTransaction(async (tx) => {
      await rejection(
        tx.withTransaction(async (inner) => {
          await inner.query(makeItem)
          expect(await rowsNow(inner, item)).toEqual([{ v: 'early' }])
          throw new Error('undo')
        }),
      )
      expect(await rowsNow(tx, item)).toEqual([{ v: 'late' }])
      await tx.query(makeItem)
      expect(await rowsNow(tx, item)).toEqual([{ v: 'early' }])
      await warm(tx, item)
      throw new Error('undo')
    })
    expect((await rejection(undone)).message).toBe('undo')
    expect(await rowsNow(pool, item)).toEqual([{ v: 'late' }])
  })

  test('what a transaction set for itself, by hand', async () => {
    const pool = poolWith()
    await warm(pool, empty)
    await pool.withTransaction(async (tx) => {
      await tx.query('savepoint a')
      await tx.query("select set_config('transform_null_equals', 'on', true)")
      expect(await rowsNow(tx, empty)).toEqual([{ v: false }])
      await warm(tx, empty)
      await tx.query('rollback to savepoint a')
      expect(await rowsNow(tx, empty)).toEqual([{ v: true }])
      await tx.query('set local transform_null_equals = on')
      await warm(tx, empty)
    })
    expect(await rowsNow(pool, empty)).toEqual([{ v: true }])
  })
})

test("role and settings of withTransaction: each tenant's statements are his own, before and after too", async () => {
  const pool = poolWith()
  await pool.query(
    `create schema ${role}; create table ${role}.item (v text); insert into ${role}.item values ('role')`,
  )
  await pool.query(`grant usage on schema ${role} to ${role}; grant select on ${role}.item to ${role}`)
  await pool.query("create table public.item (v text); insert into public.item values ('public')")
  const ask = (options: { role?: string; settings?: Record<string, string> }): Promise<unknown> =>
    pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      return [await rowsNow(tx, item), await rowsNow(tx, moment)]
    }, options)
  const first = Date.UTC(2024, 0, 31) / 1_000
  for (let n = 0; n < 4; n++) {
    expect(await ask({})).toMatchObject([[{ v: 'late' }], {}])
    expect(await ask({ settings: { search_path: 'public' } })).toMatchObject([[{ v: 'public' }], {}])
    expect(await ask({ settings: { search_path: '"$user", late' } })).toMatchObject([[{ v: 'late' }], {}])
    expect(await ask({ role, settings: { search_path: '"$user"' } })).toMatchObject([[{ v: 'role' }], {}])
    expect(await ask({ settings: { TimeZone: 'Asia/Tokyo' } })).toMatchObject([{}, [{ v: first - 9 * 3_600 }]])
    expect(await ask({ settings: { TimeZone: 'UTC' } })).toMatchObject([{}, [{ v: first }]])
  }
  await pool.query(`drop schema ${role} cascade; drop table public.item`)
})

test('settings of a transaction cost no statement its plan: neither those that matter nor others', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 1 })
  const parses = async (): Promise<number> => (await proxy.stats()).messages.toServer.Parse ?? 0
  const run = (settings: Record<string, string>): Promise<void> =>
    pool.withTransaction(
      async (tx) => {
        for (let n = 0; n < 3; n++) await tx.query('select v from item')
      },
      { settings },
    )
  const tenants = [
    { 'app.tenant': '1' },
    { 'app.tenant': '2' },
    { search_path: 'late' },
    { search_path: 'late, public' },
  ]
  await pool.query("set search_path = 'late'")
  for (let n = 0; n < 3; n++) for (const settings of tenants) await run(settings)
  const before = await parses()
  for (const settings of tenants) await run(settings)
  // BEGIN and the setting, of each.
  expect((await parses()) - before).toBe(tenants.length * 2)
})

test('what one connection of a pool makes, and commits, all of them see', async () => {
  const pool = poolWith({ max: 2 })
  await using held = await pool.acquire()
  await warm(held, item)
  await pool.withTransaction(async (tx) => {
    await tx.query(makeItem)
    // Prepared before the others can see it.
    expect(await warm(held, item)).toEqual([{ v: 'late' }])
  })
  expect(await rowsNow(held, item)).toEqual([{ v: 'early' }])
  await pool.query('drop table early.item')
  expect(await rowsNow(held, item)).toEqual([{ v: 'late' }])
})

test('a connection that is lost while it may have changed something makes the others look again', async () => {
  const pool = poolWith({ max: 2 })
  await using held = await pool.acquire()
  await warm(held, item)
  const making = rejection(
    pool.query(
      "do $$ begin create table early.item as select 'early'::text as v; commit; perform pg_sleep(60); end $$",
      [],
      { timeoutMs: 60_000 },
    ),
  )
  const kill = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and to_regclass('early.item') is not null
      and wait_event = 'PgSleep'`
  for (;;) if ((await held.query(kill)).rows.length > 0) break
  await making
  expect(await rowsNow(held, item)).toEqual([{ v: 'early' }])
  await pool.query('drop table early.item')
})

test.each([
  ["select 'now'::timestamptz", false],
  ["insert into t values ($1, ' NOW ')", false],
  ["select 'tomorrow 12:00'::timestamp", false],
  ["select '[today,tomorrow)'::tsrange", false],
  ["select e'yester\\x64ay'::date", false],
  ["select u&'n\\006fw'::date", false],
  ["select 'n'\n'ow'::date", false],
  ['select $$today$$::date', false],
  ['select $x$now$x$::date', false],
  ["select now(), 'a'", true],
  ["select 'snow', 'nowhere'", true],
  ['select today from diary where id = 1', true],
  ["select 'a\ud800'", false],
  ["select '\u{1f600}'", true],
])('%j is prepared by itself: %s', (text, isPrepared) => {
  const texts = new StatementTexts(1)
  texts.of(text)
  expect(texts.of(text).isWorthPreparing).toBe(isPrepared)
})

test('texts that differ in a lone surrogate leave prepared statements as they are', async () => {
  const pool = poolWith()
  for (const sign of ['\ud800', '\ud801', '\udc00', '\ufffd']) {
    for (let n = 0; n < 3; n++) expect((await pool.query(`select '${sign}' as v`)).rows).toEqual([{ v: '\ufffd' }])
  }
  await warm(pool, item)
  const kept = "select count(*)::int as n from pg_prepared_statements where statement like 'select v from item%'"
  expect((await pool.query(kept)).rows).toEqual([{ n: 1 }])
})
