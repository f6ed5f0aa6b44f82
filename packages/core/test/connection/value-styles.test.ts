import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, describe, expect, test } from 'vitest'
import type { PoolOptions } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

/** Says something of the database that this file has for itself; new sessions have it. */
async function alterDatabase(...settings: readonly string[]): Promise<void> {
  const admin = testPool(database.url)
  const name = new URL(database.url).pathname.slice(1)
  for (const setting of settings) await admin.query(`alter database ${name} ${setting}`)
  await admin.end()
}

afterEach(() => alterDatabase('reset all'))

const values = `select date '2024-01-31' as day, timestamp '2024-01-31 12:30:00.123456' as local,
  timestamptz '2024-01-31 12:30:00.5+00' as moment, interval '1 day 02:03:04.5' as span,
  interval '-1 year 2 months -3 days' as mixed, array[date '2024-01-31', date '2023-12-01'] as days,
  array[interval '1 hour'] as spans`

async function read(options: Omit<PoolOptions, 'connectionString'> = {}, text = values): Promise<unknown> {
  return (await testPool(database.url, options).query(text)).rows
}

describe('what a database or a role has of its own', () => {
  const dateStyles = ['German', 'SQL, DMY', 'SQL, MDY', 'Postgres, DMY', 'ISO, DMY', 'ISO, YMD']
  const intervalStyles = ['postgres', 'postgres_verbose', 'sql_standard', 'iso_8601']
  const styles = dateStyles.flatMap((date, at) => [[date, intervalStyles[at % 4] ?? ''] as const])

  test.each(styles)('does not change values: DateStyle %s and IntervalStyle %s', async (date, interval) => {
    const expected = [await read(), await read({ types: { date: 'iso', timestamp: 'iso', timestamptz: 'iso' } })]
    await alterDatabase(`set datestyle = '${date}'`, `set intervalstyle = '${interval}'`)
    expect(await read()).toEqual(expected[0])
    expect(await read({ types: { date: 'iso', timestamp: 'iso', timestamptz: 'iso' } })).toEqual(expected[1])
  })

  test('does not change them, on every way to a connection', async () => {
    const expected = await read()
    await alterDatabase(`set datestyle = 'German'`, `set intervalstyle = 'iso_8601'`)
    const pool = testPool(database.url)
    expect((await pool.withTransaction((tx) => tx.query(values))).rows).toEqual(expected)
    expect((await pool.withLock('a', (lock) => lock.withTransaction((tx) => tx.query(values)))).rows).toEqual(expected)
    const streamed: unknown[] = []
    for await (const row of pool.stream(values)) streamed.push(row)
    expect(streamed).toEqual(expected)
    const [batched] = await pool.batch([{ text: values }])
    expect(batched.rows).toEqual(expected)
    const client = await pool.asPgPool().connect()
    expect((await client.query(values)).rows).toEqual(expected)
    client.release()
  })

  test('keeps the order in which days and months are taken in', async () => {
    const text = "select current_setting('datestyle') as style, '01/02/2024'::date::text as day"
    await alterDatabase(`set datestyle = 'SQL, DMY'`)
    expect(await read({}, text)).toEqual([{ style: 'ISO, DMY', day: '2024-02-01' }])
    await alterDatabase(`set datestyle = 'SQL, MDY'`)
    expect(await read({}, text)).toEqual([{ style: 'ISO, MDY', day: '2024-01-02' }])
  })

  test('does not come back with resetOnRelease: full', async () => {
    await alterDatabase(`set datestyle = 'German'`)
    const pool = testPool(database.url, { max: 1, resetOnRelease: 'full', types: { date: 'iso' } })
    for (let time = 0; time < 3; time++) {
      expect((await pool.query("select date '2024-01-31' as day")).rows).toEqual([{ day: '2024-01-31' }])
    }
  })

  test('is read in either form, where it is about bytea', async () => {
    await alterDatabase(`set bytea_output = 'escape'`)
    expect(await read({}, String.raw`select '\x00ff5c41'::bytea as bytes`)).toEqual([
      { bytes: Buffer.from([0x00, 0xff, 0x5c, 0x41]) },
    ])
  })
})

describe('what the options of a pool say', () => {
  test('of the order of dates holds', async () => {
    const text = "select current_setting('datestyle') as style"
    expect(await read({ settings: { DateStyle: 'ISO, DMY' } }, text)).toEqual([{ style: 'ISO, DMY' }])
    await alterDatabase(`set datestyle = 'German'`)
    expect(await read({ settings: { datestyle: 'ISO, YMD' } }, text)).toEqual([{ style: 'ISO, YMD' }])
  })

  test.each([
    [{ DateStyle: 'German' }, /settings\.DateStyle is "German"; allowed: 'ISO'/],
    [{ datestyle: 'SQL, DMY' }, /settings\.datestyle/],
    [{ INTERVALSTYLE: 'iso_8601' }, /allowed: 'postgres'/],
    [{ client_encoding: 'LATIN1' }, /settings\.client_encoding is "LATIN1"; allowed: 'UTF8'/],
    [{ 'app.tenant': 'a\0b' }, /zero byte/],
    [{ role: 'none' }, /settings\.role is "none"/],
  ])('and could not be read is refused: %o', (settings, message) => {
    expect(() => testPool(database.url, { settings })).toThrow(message)
  })

  test.each([
    '-c client_encoding=LATIN1',
    '-cclient_encoding=SJIS',
    '--client-encoding=GBK',
    '-c search_path=a\\ b -c DateStyle=German',
    '-c intervalstyle=iso_8601',
  ])('as switches of the server is refused the same: %s', (switches) => {
    const url = new URL(database.url)
    url.searchParams.set('options', switches)
    expect(() => testPool(url.href.replaceAll('+', '%20'))).toThrow(/in options is .*; allowed/)
  })

  test('in a harmless form is taken', async () => {
    const url = new URL(database.url)
    url.searchParams.set('options', '-c client_encoding=utf-8 -c DateStyle=ISO,DMY')
    const pool = testPool(url.href.replaceAll('+', '%20'), { settings: { Client_Encoding: 'UTF8' } })
    expect((await pool.query('show datestyle')).rows).toEqual([{ DateStyle: 'ISO, DMY' }])
  })

  test('a caller that gives up while a session is prepared leaves it readable to the next one', async () => {
    await alterDatabase(`set datestyle = 'German'`)
    const pool = testPool(database.url, { max: 1 })
    expect((await rejection(pool.query('select 1', [], { timeoutMs: 0 }))).code).toBe('LIFEGUARD_TIMEOUT')
    expect((await pool.query("select date '2024-01-31'::text as day")).rows).toEqual([{ day: '2024-01-31' }])
  })
})

describe('an encoding that a user of a session has set', () => {
  test.each([
    "set client_encoding = 'LATIN1'",
    "set names 'SJIS'",
    "select set_config('client_encoding', 'EUC_JP', false)",
  ])('garbles the text of nobody else: %s', async (text) => {
    const read = "select 'é' as text, length('é') as length, chr(233) as made"
    const expected = [{ text: 'é', length: 1, made: 'é' }]
    for (const resetOnRelease of ['off', 'rollback', 'full'] as const) {
      const pool = testPool(database.url, { max: 1, resetOnRelease })
      await pool.query(text)
      expect((await pool.query(read)).rows).toEqual(expected)
      await pool.withTransaction((tx) => tx.query(text))
      expect((await pool.withTransaction((tx) => tx.query(read))).rows).toEqual(expected)
      const connection = await pool.acquire()
      await connection.query(text)
      connection.release()
      const client = await pool.asPgPool().connect()
      expect((await client.query(read)).rows).toEqual(expected)
      client.release()
    }
  })

  test('is his for as long as he has the session', async () => {
    const pool = testPool(database.url, { max: 1 })
    const connection = await pool.acquire()
    await connection.query("set client_encoding = 'LATIN1'")
    expect((await connection.query('show client_encoding')).rows).toEqual([{ client_encoding: 'LATIN1' }])
    connection.release()
    expect((await pool.query('show client_encoding')).rows).toEqual([{ client_encoding: 'UTF8' }])
    expect(pool.stats().pool.opened).toBe(1)
  })
})
