import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import type { Pool, PooledConnection, ResetMode } from '../../src/index.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create role reset_other; create role reset_start; create sequence counter' })

/** What one user leaves behind in the session, and what the next one sees of it. */
const leftovers: readonly { readonly what: string; readonly leave: string; readonly see: string }[] = [
  { what: 'a setting', leave: "set statement_timeout = '7s'", see: "select current_setting('statement_timeout')" },
  {
    what: 'a setting of its own',
    leave: "set app.tenant = '42'",
    see: "select nullif(current_setting('app.tenant', true), '')",
  },
  { what: 'the search path', leave: 'set search_path to pg_catalog', see: "select current_setting('search_path')" },
  { what: 'a role', leave: 'set role reset_other', see: 'select current_user' },
  {
    what: 'a session user',
    leave: 'set session authorization reset_other',
    see: 'select session_user',
  },
  { what: 'a temporary table', leave: 'create temp table basket (id int)', see: "select to_regclass('basket')" },
  { what: 'LISTEN', leave: 'listen orders', see: 'select count(*) from pg_listening_channels()' },
  {
    what: 'a session lock',
    leave: 'select pg_advisory_lock(42)',
    see: "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
  },
  {
    what: 'a cursor',
    leave: 'declare rest cursor with hold for select 1',
    see: "select count(*) from pg_cursors where name = 'rest'",
  },
]

async function value(connection: PooledConnection, text: string): Promise<unknown> {
  const { rows } = await connection.query<Record<string, unknown>>(text)
  return Object.values(rows[0] ?? {})[0]
}

function poolOfOne(resetOnRelease: ResetMode, settings = {}): Pool {
  return testPool(database.url, { max: 1, resetOnRelease, settings })
}

describe("'full'", () => {
  test.each(leftovers)('lets $what not reach the next user, on the same connection', async ({ leave, see }) => {
    const pool = poolOfOne('full')
    const one = await pool.acquire()
    const { pid } = one
    const before = await value(one, see)
    await one.query(leave)
    expect(await value(one, see)).not.toEqual(before)
    one.release()
    await using two = await pool.acquire()
    expect(two.pid).toBe(pid)
    expect(await value(two, see)).toEqual(before)
  })

  test('ends the session of a sequence', async () => {
    const pool = poolOfOne('full')
    const one = await pool.acquire()
    await one.query("select nextval('counter')")
    one.release()
    await expect(pool.query("select currval('counter')")).rejects.toMatchObject({ code: '55000' })
  })

  test('keeps what the session was started with: settings of the pool, its role too', async () => {
    const pool = poolOfOne('full', { work_mem: '5MB', 'app.shop': 'north', role: 'reset_start' })
    for (let use = 0; use < 2; use++) {
      await using connection = await pool.acquire()
      const { rows } = await connection.query(
        `select current_setting('work_mem') as work_mem, current_setting('app.shop') as shop, current_user as role`,
      )
      expect(rows).toEqual([{ work_mem: '5MB', shop: 'north', role: 'reset_start' }])
      await connection.query("set work_mem = '6MB'; set app.shop = 'south'; reset role; set role none")
    }
  })

  test('drops prepared statements of any kind, and what the driver knows of them', async () => {
    const pool = poolOfOne('full')
    for (let use = 0; use < 3; use++) {
      // Another text under the name: who comes next knows nothing of the one before.
      const text = `select $1::int + ${use} as n`
      const { rows } = await pool.query({ name: 'kept', text, values: [0] })
      expect(rows).toEqual([{ n: use }])
      await pool.query('prepare by_hand as select 1')
      expect((await pool.query('select 5 as five')).rows).toEqual([{ five: 5 }])
      const client = await pool.asPgPool().connect()
      const named = { name: 'of_the_facade', text, values: [1] }
      expect((await client.query(named)).rows).toEqual([{ n: use + 1 }])
      expect((await client.query(named)).rows).toEqual([{ n: use + 1 }])
      await new Promise<void>((resolve) => {
        const query = new pg.Query({ ...named, name: 'of_pg' })
        query.once('end', () => resolve())
        client.query(query)
      })
      client.release()
    }
    const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from pg_prepared_statements')
    expect(rows).toEqual([{ n: 0 }])
    expect(pool.stats().pool.opened).toBe(1)
  })

  test('is done after the caller has its answer, of a failed transaction too', async () => {
    const pool = poolOfOne('full')
    const one = await pool.acquire()
    await one.query('begin')
    await expect(one.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
    one.release()
    expect(pool.stats()).toMatchObject({ pool: { active: 1, idle: 0 } })
    await eventually('it is free', () => pool.stats().pool.idle === 1)
    expect(pool.stats().pool.opened).toBe(1)
  })
})

describe("'rollback'", () => {
  test('rolls back, and leaves the rest', async () => {
    const pool = poolOfOne('rollback')
    const one = await pool.acquire()
    const { pid } = one
    await one.query("set statement_timeout = '7s'; listen orders")
    await one.query('begin')
    await one.query('create table never (id int)')
    one.release()
    await using two = await pool.acquire()
    expect(two.pid).toBe(pid)
    expect(await value(two, "select to_regclass('never')")).toBe(null)
    expect(await value(two, "select current_setting('statement_timeout')")).toBe('7s')
    expect(await value(two, 'select count(*)::int from pg_listening_channels()')).toBe(1)
  })
})

describe("'off'", () => {
  test.each(['begin', 'begin; select 1/0'])('closes what comes back after %s, and sends nothing', async (text) => {
    const pool = poolOfOne('off')
    const one = await pool.acquire()
    const { pid } = one
    await one.query(text).catch(() => undefined)
    one.release()
    await using two = await pool.acquire()
    expect(two.pid).not.toBe(pid)
  })

  test('closes what comes back busy, and the server stops with it', async () => {
    const pool = poolOfOne('off')
    const one = await pool.acquire()
    const { pid } = one
    const running = one.query('select pg_sleep(60)').catch((error: unknown) => error)
    one.release()
    expect(await running).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
    const { rows } = await pool.query('select from pg_stat_activity where pid = $1', [pid])
    expect(rows).toEqual([])
  })

  test('keeps the connection otherwise, with all that is in its session', async () => {
    const pool = poolOfOne('off')
    const one = await pool.acquire()
    await one.query("set statement_timeout = '7s'")
    one.release()
    await using two = await pool.acquire()
    expect(await value(two, "select current_setting('statement_timeout')")).toBe('7s')
  })
})
