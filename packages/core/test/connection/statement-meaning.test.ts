import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StatementTexts } from '../../src/connection/statement-cache.js'
import type { Pool, PoolOptions } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const role = `meaning_${process.pid}`
const database = useDatabase({
  setup: `
    create schema early; create schema late;
    create table late.item (v text); insert into late.item values ('late');
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

async function admin(text: string): Promise<void> {
  const client = new pg.Client(database.url)
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

function poolWith(options: Omit<PoolOptions, 'connectionString'> = {}): Pool {
  return testPool(database.url, { max: 1, settings: { search_path: 'early, late, public' }, ...options })
}

interface Asker {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** What a text gives that the session may have prepared, and what it gives when it is parsed now. */
let unique = 0
async function both(asker: Asker, text: string, values: unknown[] = []): Promise<readonly [unknown, unknown]> {
  const kept = (await asker.query(text, values)).rows
  const fresh = (await asker.query(`${text} /* ${++unique} */`, values)).rows
  return [kept, fresh]
}

async function expectSame(asker: Asker, text: string, values?: unknown[]): Promise<unknown> {
  const [kept, fresh] = await both(asker, text, values)
  expect(kept).toEqual(fresh)
  return kept
}

async function warm(asker: Asker, text: string, values: unknown[] = []): Promise<unknown> {
  let rows: unknown
  for (let n = 0; n < 4; n++) ({ rows } = await asker.query(text, values))
  return rows
}

const item = 'select v from item where $1::int = 1'
const f = "select f('x') as v where $1::int = 1"
const g = 'select g(1::int) as v where $1::int = 1'
const moment = "select extract(epoch from '2024-01-31 00:00'::timestamptz)::int as v where $1::int = 1"
const day = "select extract(month from '01/02/2024'::date)::int as v where $1::int = 1"
const span = "select extract(epoch from '-1 2:03:04'::interval)::int as v where $1::int = 1"
const empty = "select ('x'::text = null) is null as v where $1::int = 1"

describe('a prepared statement means what its text means now, after', () => {
  test.each<[text: string, change: string]>([
    [item, 'create table early.item (v text)'],
    [item, "/* a */ create temp table item as select 'temp' as v"],
    [item, "select 'temp' as v into temp item"],
    [item, "select 'early'::text as v into early.item"],
    [item, "with x as (select 'early'::text as v) select v INTO early.item from x"],
    [item, "create table early.item as select 'early'::text as v"],
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
    const before = await warm(pool, text, [1])
    await pool.query(change)
    const after = await expectSame(pool, text, [1])
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
    await warm(pool, item, [1])
    await rejection(pool.query('call make_and_fail()'))
    expect(await expectSame(pool, item, [1])).toEqual([{ v: 'made' }])
    await pool.query('drop table early.item')
    expect(await expectSame(pool, item, [1])).toEqual([{ v: 'late' }])
  })

  test('a batch, a stream that is not read to its end, and a query of pg itself', async () => {
    const pool = poolWith()
    await warm(pool, item, [1])
    await pool.batch([
      { text: 'create table early.item (v text)' },
      { text: "insert into early.item values ('early')" },
    ])
    expect(await expectSame(pool, item, [1])).toEqual([{ v: 'early' }])
    const client = await pool.asPgPool().connect()
    try {
      const query = new pg.Query("create temp table item as select 'temp' as v")
      await new Promise((resolve) => {
        query.once('end', resolve)
        client.query(query)
      })
      expect(await expectSame(client, item, [1])).toEqual([{ v: 'temp' }])
    } finally {
      client.release()
    }
    await pool.query('discard temp; drop table early.item')
    expect(await expectSame(pool, item, [1])).toEqual([{ v: 'late' }])
    await using connection = await pool.acquire()
    await warm(connection, empty, [1])
    const settings = "select set_config('transform_null_equals', 'on', false) from generate_series(1, 1000)"
    for await (const _ of connection.stream(settings, [], { batchSize: 10 })) break
    await expectSame(connection, empty, [1])
  })

  test('a transaction that makes a table, and undoes it wholly or in part', async () => {
    const pool = poolWith()
    await warm(pool, item, [1])
    const make = "create table early.item as select 'early'::text as v"
    const undone = pool.withTransaction(async (tx) => {
      await rejection(
        tx.withTransaction(async (inner) => {
          await inner.query(make)
          expect(await expectSame(inner, item, [1])).toEqual([{ v: 'early' }])
          throw new Error('undo')
        }),
      )
      expect(await expectSame(tx, item, [1])).toEqual([{ v: 'late' }])
      await tx.query(make)
      expect(await expectSame(tx, item, [1])).toEqual([{ v: 'early' }])
      await warm(tx, item, [1])
      throw new Error('undo')
    })
    expect((await rejection(undone)).message).toBe('undo')
    expect(await expectSame(pool, item, [1])).toEqual([{ v: 'late' }])
  })

  test('what a transaction set for itself, by hand', async () => {
    const pool = poolWith()
    await warm(pool, empty, [1])
    await pool.withTransaction(async (tx) => {
      await tx.query('savepoint a')
      await tx.query("select set_config('transform_null_equals', 'on', true)")
      expect(await expectSame(tx, empty, [1])).toEqual([{ v: false }])
      await warm(tx, empty, [1])
      await tx.query('rollback to savepoint a')
      expect(await expectSame(tx, empty, [1])).toEqual([{ v: true }])
      await tx.query('set local transform_null_equals = on')
      await warm(tx, empty, [1])
    })
    expect(await expectSame(pool, empty, [1])).toEqual([{ v: true }])
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
      return [await expectSame(tx, item, [1]), await expectSame(tx, moment, [1])]
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
  await warm(held, item, [1])
  await pool.withTransaction(async (tx) => {
    await tx.query("create table early.item as select 'early'::text as v")
    // Prepared before the others can see it.
    expect(await warm(held, item, [1])).toEqual([{ v: 'late' }])
  })
  expect(await expectSame(held, item, [1])).toEqual([{ v: 'early' }])
  await pool.query('drop table early.item')
  expect(await expectSame(held, item, [1])).toEqual([{ v: 'late' }])
})

test('a connection that is lost while it may have changed something makes the others look again', async () => {
  const pool = poolWith({ max: 2 })
  await using held = await pool.acquire()
  await warm(held, item, [1])
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
  expect(await expectSame(held, item, [1])).toEqual([{ v: 'early' }])
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
  await warm(pool, item, [1])
  const kept = "select count(*)::int as n from pg_prepared_statements where statement like 'select v from item%'"
  expect((await pool.query(kept)).rows).toEqual([{ n: 1 }])
})
