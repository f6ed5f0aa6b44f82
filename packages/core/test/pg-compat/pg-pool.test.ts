import { type EventEmitter, once } from 'node:events'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect, test } from 'vitest'
import { PgPoolFacade } from '../../src/pg-compat/pg-pool.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key, name text)' })

async function kill(pid: unknown): Promise<void> {
  const admin = new pg.Client(database.url)
  await admin.connect()
  await admin.query('select pg_terminate_backend($1)', [pid])
  await admin.end()
}

describe('is a pg.Pool', () => {
  test('by instanceof and by a name that no minifier touches', () => {
    const pool = testPool(database.url)
    const pgPool = pool.asPgPool()
    expect(pgPool).toBeInstanceOf(pg.Pool)
    expect(pool.asPgPool()).toBe(pgPool)
    expect(Object.getPrototypeOf(pgPool).constructor).toBe(PgPoolFacade)
    // What `class a extends ... { static name = 'BoundPool' }` keeps: a property of its own with a text in it.
    expect(Object.getOwnPropertyDescriptor(PgPoolFacade, 'name')).toMatchObject({ value: 'BoundPool' })
    expect(PgPoolFacade.toString()).toContain('BoundPool')
  })

  test('with the options of pg.Pool, and secrets that are not printed', () => {
    const pool = testPool('postgres://me:secret@localhost/db', { max: 7, idleTimeoutMs: 1_234, password: 'secret' })
    const { options } = pool.asPgPool()
    expect(options).toMatchObject({ max: 7, min: 0, idleTimeoutMillis: 1_234 })
    expect(JSON.stringify(options)).not.toContain('secret')
    expect((options as { password?: string }).password).toBe('secret')
  })

  test('without a connection of its own', async () => {
    const pool = testPool(database.url, { max: 2 })
    const pgPool = pool.asPgPool()
    expect([pgPool.totalCount, pgPool.idleCount, pgPool.waitingCount, pgPool.expiredCount]).toEqual([0, 0, 0, 0])
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => pgPool.query('select pg_sleep(0.01)')))
    // The second may open more slowly than the first one works.
    await eventually('both are open', () => pool.stats().pool.total === 2)
    const { rows } = await pgPool.query(
      'select count(*)::int as n from pg_stat_activity where datname = current_database()',
    )
    expect(rows[0].n).toBe(2)
    const one = await pgPool.connect()
    const two = await pgPool.connect()
    const third = pgPool.connect()
    expect([pgPool.totalCount, pgPool.idleCount, pgPool.waitingCount]).toEqual([2, 0, 1])
    one.release()
    ;(await third).release()
    two.release()
    expect([pgPool.totalCount, pgPool.idleCount, pgPool.waitingCount]).toEqual([2, 2, 0])
  })
})

describe('query', () => {
  test('takes every form that pg takes', async () => {
    const pgPool = testPool(database.url).asPgPool()
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect((await pgPool.query('select $1::int as one', [2])).rows).toEqual([{ one: 2 }])
    expect((await pgPool.query({ text: 'select $1::int as one', values: [3] })).rows).toEqual([{ one: 3 }])
    expect((await pgPool.query({ text: 'select $1::int', rowMode: 'array' }, [4])).rows).toEqual([[4]])
    expect((await pgPool.query({ name: 'named', text: 'select $1::int as one' }, [5])).rows).toEqual([{ one: 5 }])
    const types = { getTypeParser: () => (value: string) => `<${value}>` }
    expect((await pgPool.query({ text: 'select 6 as one', types: types as never })).rows).toEqual([{ one: '<6>' }])
    const config = { text: 'select $1::int as one', values: [7], binary: true }
    const binary = await pgPool.query(config)
    expect(binary.rows).toEqual([{ one: 7 }])
    const several = (await pgPool.query('select 1; select 2')) as unknown as readonly pg.QueryResult[]
    expect(several.map(({ command }) => command)).toEqual(['SELECT', 'SELECT'])
    expect(await pgPool.query('select 1 as one')).toMatchObject({ command: 'SELECT', rowCount: 1, oid: null })
  })

  test('calls back, outside of any promise', async () => {
    const pgPool = testPool(database.url).asPgPool()
    const outcome = await new Promise<unknown[]>((resolve) => {
      expect(pgPool.query('select 1 as one', (...args) => resolve(args))).toBeUndefined()
    })
    expect(outcome[0]).toBeUndefined()
    expect((outcome[1] as pg.QueryResult).rows).toEqual([{ one: 1 }])
    const failed = await new Promise<unknown[]>((resolve) =>
      pgPool.query('select $1::int', ['x'], (...args) => resolve(args)),
    )
    expect(failed[0]).toBeInstanceOf(pg.DatabaseError)
    const misused = await new Promise((resolve) => pgPool.query(resolve as never))
    expect(String(misused)).toContain('Passing a function as the first parameter')
  })

  test("fails with pg's own errors, and with its own words for what is no query", async () => {
    const pgPool = testPool(database.url).asPgPool()
    const error = await rejection(pgPool.query('select nonsense'))
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error.code).toBe('42703')
    expect(error.stack).toContain('pg-pool.test')
    expect(() => pgPool.query(null as never)).toThrow('Client was passed a null or undefined query')
    expect((await rejection(pgPool.query({} as never))).message).toContain('must have either text or a name')
    expect((await rejection(pgPool.query('select 1', 'x' as never))).message).toContain('array')
  })

  test('with query_timeout gives the connection back clean', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.query('select 1')
    const error = await rejection(pool.asPgPool().query({ text: 'select pg_sleep(30)', query_timeout: 300 } as never))
    expect(error.code).toBe('LIFEGUARD_TIMEOUT')
    expect(error.message).toBe('Query read timeout')
    expect(error.stack).toMatch(/Query read timeout: gave up after 300 ms.*pg-pool\.test/s)
    expect((await pool.asPgPool().query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('query_timeout', () => {
  const timedOut = { code: 'LIFEGUARD_TIMEOUT', message: 'Query read timeout' }

  test('of all that a pool runs is in its options, that of one query counts before it', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    await pgPool.query('select 1')
    pgPool.options.query_timeout = 100
    expect(await rejection(pgPool.query('select pg_sleep(30)'))).toMatchObject(timedOut)
    expect(
      await rejection(pgPool.query({ text: 'select pg_sleep(30)', queryMode: 'extended' } as pg.QueryConfig)),
    ).toMatchObject(timedOut)
    const client = await pgPool.connect()
    expect(await rejection(client.query('select pg_sleep(30)'))).toMatchObject(timedOut)
    const longer = { text: "select 'done' as is from pg_sleep(0.2)", query_timeout: 30_000 }
    expect((await client.query(longer)).rows).toEqual([{ is: 'done' }])
    client.release()
    expect((await pgPool.query(longer)).rows).toEqual([{ is: 'done' }])
    // It is that of the view.
    expect((await pool.query(longer.text)).rows).toEqual([{ is: 'done' }])
    pgPool.options.query_timeout = 0
    expect((await pgPool.query(longer.text)).rows).toEqual([{ is: 'done' }])
  })

  test.each(['of its own', 'of the pool'])('%s ends a Submittable, which is told in the words of pg', async (whose) => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const cursor = (): Cursor => {
      const made = new Cursor('select n, pg_sleep(n) from generate_series(0, 30, 30) n')
      return whose === 'of its own' ? Object.assign(made, { query_timeout: 200 }) : made
    }
    const client = await pgPool.connect()
    if (whose === 'of the pool') pgPool.options.query_timeout = 200
    const unread = client.query(cursor())
    const [told] = await once(unread as unknown as EventEmitter, 'error')
    expect(told).toMatchObject(timedOut)
    const read = client.query(cursor())
    expect(await read.read(1)).toHaveLength(1)
    expect(await rejection(read.read(1))).toMatchObject(timedOut)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    client.release()
    const left = pgPool.query(cursor())
    expect(await rejection(left.read(2))).toMatchObject(timedOut)
    const sleeps = 'select pg_sleep(30)'
    for (const query of [sleeps, { text: sleeps, values: [], queryMode: 'extended' }]) {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      const made = new pg.Query(query as pg.QueryConfig, resolve as never)
      pgPool.query(whose === 'of its own' ? Object.assign(made, { query_timeout: 200 }) : made)
      expect(await promise).toMatchObject({ ...timedOut, outcome: 'cancelled', cause: { code: '57014' } })
    }
    // The server has cancelled it, and with it the transaction around.
    const around = pool.withTransaction(async () => {
      const joined = await pgPool.connect()
      expect(await rejection(joined.query(cursor()).read(2))).toMatchObject(timedOut)
      joined.release()
    })
    expect((await rejection(around)).code).toBe('LIFEGUARD_TRANSACTION_ROLLED_BACK')
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

test('whose time is over is reported in the very words of pg; what holds the pool begins the stack', async () => {
  const pool = testPool(database.url, { max: 1, acquireTimeoutMs: 100 })
  const pgPool = pool.asPgPool()
  // The first one may take longer than that to open.
  const client = await eventually('there is a connection', () => pgPool.connect().catch(() => undefined))
  for (const asked of [() => pgPool.connect(), () => pgPool.query('select 1')]) {
    const error = await rejection(asked())
    expect(error.code).toBe('LIFEGUARD_ACQUIRE_TIMEOUT')
    expect(error.message).toBe('timeout exceeded when trying to connect')
    expect(error.stack).toMatch(/timeout exceeded when trying to connect: no connection within.*held for/)
  }
  const late = await rejection(client.query({ text: 'select pg_sleep(30)', query_timeout: 50 } as never))
  expect(late.message).toBe('Query read timeout')
  expect(late.stack).toContain('Query read timeout: gave up after 50 ms')
  client.release()
  // The words are those of the view alone.
  const again = await pgPool.connect()
  expect((await rejection(pool.query('select 1'))).message).toMatch(/^no connection within/)
  again.release()
})

describe('a client', () => {
  test('is one for itself, with what a client of pg has', async () => {
    const pgPool = testPool(database.url).asPgPool()
    const client = await pgPool.connect()
    expect(client).toBeInstanceOf(pg.Client)
    expect((await client.query('select pg_backend_pid() as pid')).rows[0].pid).toBe(
      (client as unknown as { processID: number }).processID,
    )
    expect(client.escapeIdentifier('a"b')).toBe('"a""b"')
    expect(client.escapeLiteral("it's")).toBe("'it''s'")
    expect(client.getTransactionStatus()).toBe('I')
    await client.query('begin')
    expect(client.getTransactionStatus()).toBe('T')
    const results = await Promise.all([client.query('select 1 as n'), client.query('select 2 as n')])
    expect(results.map(({ rows }) => rows[0].n)).toEqual([1, 2])
    await client.query('rollback')
    expect((await rejection(client.connect())).message).toContain('already been connected')
    const seen = await new Promise((resolve) => client.query('select 3 as n', (_, { rows }) => resolve(rows)))
    expect(seen).toEqual([{ n: 3 }])
    client.release()
    expect(() => client.release()).toThrow('already been released to the pool')
    expect((await rejection(client.query('select 1'))).code).toBe('LIFEGUARD_CONNECTION_RELEASED')
  })

  test('comes through a callback, too', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pid = await new Promise((resolve, reject) =>
      pool.asPgPool().connect((error, client, release) => {
        if (client === undefined) return reject(error)
        client.query('select pg_backend_pid() as pid', (failed, result) => {
          release()
          if (failed) reject(failed)
          else resolve(result.rows[0].pid)
        })
      }),
    )
    expect(pid).toBeTypeOf('number')
    expect(pool.stats()).toMatchObject({ pool: { active: 0, idle: 1 } })
  })

  test('released with an error or true is destroyed, otherwise reused; what it left open is rolled back', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const pidOf = async (how?: Error | boolean): Promise<number> => {
      const client = await pgPool.connect()
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await client.query('begin')
      await client.query('insert into item values (99)')
      client.release(how)
      return rows[0].pid
    }
    const first = await pidOf()
    const second = await pidOf(true)
    expect(second).toBe(first)
    const third = await pidOf(new Error('broken'))
    expect(third).not.toBe(first)
    expect(await pidOf()).not.toBe(third)
    expect((await pgPool.query('select from item where id = 99')).rowCount).toBe(0)
  })

  test('hears notifications and notices, until it is released', async () => {
    const pgPool = testPool(database.url).asPgPool()
    const client = await pgPool.connect()
    const heard = once(client, 'notification')
    const noticed = once(client, 'notice')
    await client.query('listen news')
    await pgPool.query("select pg_notify('news', 'hello')")
    expect((await heard)[0]).toMatchObject({ channel: 'news', payload: 'hello' })
    await client.query("do $$ begin raise notice 'look'; end $$")
    expect((await noticed)[0]).toMatchObject({ message: 'look' })
    client.release(true)
  })

  test('closed by end() is gone', async () => {
    const pool = testPool(database.url, { max: 1 })
    const client = await pool.asPgPool().connect()
    await (client as unknown as pg.Client).end()
    await rejection(client.query('select 1'))
    client.release()
    expect((await pool.asPgPool().query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('events', () => {
  test('tell of the life of clients', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const seen: string[] = []
    for (const name of ['connect', 'acquire', 'release', 'remove'] as const) {
      pgPool.on(name, () => seen.push(name))
    }
    pgPool.once('connect', (client) => {
      // How programs prepare each connection: it must come before the first user's statement.
      client.query("set application_name = 'prepared'")
    })
    const client = await pgPool.connect()
    expect((await client.query('show application_name')).rows).toEqual([{ application_name: 'prepared' }])
    client.release()
    await pgPool.query('select 1')
    expect(seen).toEqual(['connect', 'acquire', 'release', 'acquire', 'release'])
    const last = await pgPool.connect()
    last.release(true)
    await eventually('the removal is told', () => seen.includes('remove'))
    expect(pgPool.listeners('remove')).toHaveLength(1)
    pgPool.removeAllListeners()
  })

  test('a session killed while it idles is told to those who listen, and crashes nothing without them', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    const pid = async (): Promise<number> => (await pgPool.query('select pg_backend_pid() as pid')).rows[0].pid
    await kill(await pid())
    await eventually('it is noticed', () => pool.stats().pool.total === 0)
    const told = once(pgPool, 'error')
    // `once` of node:events settles on 'error' by rejecting, unless that is what it waits for.
    await kill(await pid())
    const [error, client] = await told
    expect(error).toMatchObject({ code: '57P01' })
    expect(client).toBeInstanceOf(pg.Client)
    expect(await pid()).toBeTypeOf('number')
  })

  test('a session killed while it is checked out crashes nothing, and tells its client', async () => {
    const pool = testPool(database.url, { max: 1 })
    const client = await pool.asPgPool().connect()
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query('begin')
    // Nobody listens for 'error'.
    const noticed = new Promise<void>((resolve) => client.once('end', resolve))
    await kill(rows[0].pid)
    await noticed
    expect(pool.stats().pool.active).toBe(1)
    expect((await rejection(client.query('select 1'))).code).toBe('LIFEGUARD_CONNECTION_LOST')
    await client.query('rollback')
    client.release()
    const next = await pool.asPgPool().connect()
    const told: unknown[] = []
    next.on('error', (error) => told.push(error))
    const running = rejection(next.query('select pg_sleep(30)'))
    await kill((next as unknown as { processID: number }).processID)
    expect(await running).toMatchObject({ code: '57P01' })
    await eventually('the client is told', () => told.length === 1)
    next.release()
    expect((await pool.asPgPool().query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

describe('transactions by hand', () => {
  test('a BEGIN that fails leaks nothing, although nobody releases', async () => {
    const pool = testPool(database.url, { max: 1 })
    const client = await pool.asPgPool().connect()
    await rejection(client.query('begin isolation level nonsense'))
    await eventually('it is back', () => pool.stats().pool.active === 0)
    await client.query('rollback')
    expect((await rejection(client.query('select 1'))).code).toBe('LIFEGUARD_CONNECTION_RELEASED')
    client.release()
    expect(() => client.release()).toThrow('already been released')
    expect(pool.stats()).toMatchObject({ pool: { active: 0, total: 1 } })
    const warnings: Error[] = []
    const warned = (warning: Error): number => warnings.push(warning)
    process.on('warning', warned)
    const events: string[] = []
    pool.asPgPool().on('release', () => events.push('release'))
    for (let time = 0; time < 20; time++) {
      const again = await pool.asPgPool().connect()
      await rejection(again.query('begin isolation level nonsense'))
    }
    const last = await pool.asPgPool().connect()
    last.release()
    // Node.js warns of listeners that pile up: nothing of the forgotten clients is left on the connection.
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warned)
    expect(warnings).toEqual([])
    expect(events).toHaveLength(21)
  })

  test('a COMMIT whose answer is lost has an unknown outcome, and the ROLLBACK behind it hides nothing', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.url, { max: 1 })
    const client = await pool.asPgPool().connect()
    await client.query('begin')
    await client.query('insert into item values (50)')
    await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
    const error = await rejection(client.query('COMMIT'))
    expect(error.code).toBe('LIFEGUARD_COMMIT_UNKNOWN')
    expect(await client.query('rollback')).toMatchObject({ command: 'ROLLBACK' })
    client.release()
  })

  test('a COMMIT that the server answers with ROLLBACK is an error', async () => {
    const pgPool = testPool(database.url).asPgPool()
    const client = await pgPool.connect()
    await client.query('begin')
    await rejection(client.query('select nonsense'))
    const error = await rejection(client.query('commit'))
    expect(error.code).toBe('LIFEGUARD_TRANSACTION_ROLLED_BACK')
    expect(error.cause).toMatchObject({ code: '42703' })
    client.release()
  })
})

describe('end', () => {
  test('ends the pool, once; then it says what pg says', async () => {
    const pool = testPool(database.url)
    const pgPool = pool.asPgPool()
    await pgPool.query('select 1')
    expect([pgPool.ending, pgPool.ended]).toEqual([false, false])
    const client = await pgPool.connect()
    const ending = pgPool.end()
    expect([pgPool.ending, pgPool.ended]).toEqual([true, false])
    expect((await rejection(pgPool.end())).message).toBe('Called end on pool more than once')
    expect((await rejection(pgPool.connect())).message).toBe('Cannot use a pool after calling end on the pool')
    expect((await rejection(pgPool.query('select 1'))).message).toBe('Cannot use a pool after calling end on the pool')
    client.release()
    await ending
    expect([pgPool.ending, pgPool.ended]).toEqual([true, true])
  })

  test('can be undone by the pool', async () => {
    const pool = testPool(database.url)
    const pgPool = pool.asPgPool()
    const client = await pgPool.connect()
    const ended = rejection(pgPool.end())
    expect(pool.cancelEnd()).toBe(true)
    expect((await ended).code).toBe('LIFEGUARD_ABORTED')
    client.release()
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await pgPool.end()
  })

  test('calls back', async () => {
    const pool = testPool(database.url)
    await new Promise<void>((resolve) => pool.asPgPool().end(resolve))
    expect((await rejection(pool.query('select 1'))).code).toBe('LIFEGUARD_POOL_CLOSED')
  })
})
