import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { describe, expect, test } from 'vitest'
import type { NewConnection } from '../../src/index.js'
import { killSessions } from '../support/kill-sessions.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

/** What docs/pg-pool.md says is different on purpose, and no other test of the facade shows. */
const database = useDatabase()

test('a server out of reach is waited for, and its error is the cause', async () => {
  const pgPool = testPool('postgres://me@127.0.0.1:1/db', { acquireTimeoutMs: 1_500 }).asPgPool()
  const errors = await Promise.all([rejection(pgPool.connect()), rejection(pgPool.query('select 1'))])
  for (const error of errors) {
    expect(error.code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  }
})

test('a read whose connection is lost is run again; a write is not', async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  const { rows } = await pgPool.query('select pg_backend_pid() as pid')
  const admin = testPool(database.url, { max: 1 })
  await admin.query('create table ended (pid int)')
  // It sleeps on the first connection alone.
  const read = pgPool.query(
    `select pg_backend_pid() as pid, case pg_backend_pid() when ${rows[0].pid} then pg_sleep(60)::text end`,
  )
  const runs = async (what: string): Promise<boolean> =>
    (await admin.query("select 1 from pg_stat_activity where state = 'active' and query like $1", [what])).rows.length >
    0
  await eventually('it runs', () => runs('select pg_backend_pid() as pid, case%'))
  await admin.query('select pg_terminate_backend($1)', [rows[0].pid])
  const again = (await read).rows[0].pid
  expect(again).not.toBe(rows[0].pid)

  const write = rejection(pgPool.query('insert into ended select 1 from pg_sleep(60)'))
  await eventually('it runs', () => runs('insert into ended%'))
  await admin.query('select pg_terminate_backend($1)', [again])
  expect((await write).code).toBe('57P01')
})

test('a failed statement keeps its connection, and min is kept up', async () => {
  const pool = testPool(database.url, { max: 2, min: 1, maxUses: 1 })
  const pgPool = pool.asPgPool()
  const client = await pgPool.connect()
  const { processID } = client as unknown as { processID: number }
  await rejection(client.query('no sql'))
  expect((await client.query('select pg_backend_pid() as pid')).rows).toEqual([{ pid: processID }])
  client.release()
  await eventually('another one is open', () => pgPool.idleCount === 1 && pool.stats().pool.opened >= 2)

  const lasting = testPool(database.url, { max: 1 }).asPgPool()
  await rejection(lasting.query('no sql'))
  expect([lasting.idleCount, lasting.totalCount]).toEqual([1, 1])
})

test('statements that share a connection are one checkout each, and are released when it goes back', async () => {
  const pool = testPool(database.url, { max: 1, pipelining: { slowAfterMs: 2_000 } })
  const pgPool = pool.asPgPool()
  const seen: string[] = []
  pgPool.on('acquire', () => seen.push('acquire'))
  pgPool.on('release', () => seen.push('release'))
  await eventually('some share', async () => {
    seen.length = 0
    const { pipelined } = pool.stats().queries
    await Promise.all(Array.from({ length: 8 }, () => pgPool.query('select 1 as one')))
    return pool.stats().queries.pipelined > pipelined
  })
  await eventually('each is released', () => seen.length === 16)
  expect(seen.slice(0, 2)).toEqual(['acquire', 'acquire'])
  expect(seen.filter((event) => event === 'release')).toHaveLength(8)
})

test('each client of an open transaction is one of its own, on the one connection', async () => {
  const pool = testPool(database.url, { max: 1 })
  const pgPool = pool.asPgPool()
  await pool.withTransaction(async () => {
    const [one, two] = await Promise.all([pgPool.connect(), pgPool.connect()])
    expect(one).not.toBe(two)
    const pids = await Promise.all([one, two].map((client) => client.query('select pg_backend_pid() as pid')))
    expect(pids[0]?.rows).toEqual(pids[1]?.rows)
    one.release()
    expect((await two.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    two.release()
  })
})

test('a program that never ends its pool lives until its connections have idled for long enough', async () => {
  const program = `
    const { createPool } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)})
    const pgPool = createPool({ connectionString: process.env.DATABASE, idleTimeoutMs: 300 }).asPgPool()
    pgPool.on('remove', () => process.stdout.write('removed'))
    await pgPool.query('select 1')
    process.stdout.write('done ')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, DATABASE: database.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const over = new Promise((resolve) => child.once('close', resolve))
  expect(await text(child.stdout)).toBe('done removed')
  expect(await over).toBe(0)
})

test('connections are made with the class of pg, whose connect gives a promise', async () => {
  const { prototype } = pg.Client
  const { connect } = prototype
  let times = 0
  prototype.connect = function (this: pg.Client, ...given: []) {
    times += 1
    return Reflect.apply(connect, this, given)
  }
  try {
    await testPool(database.url, { max: 1 }).asPgPool().query('select 1')
  } finally {
    prototype.connect = connect
  }
  expect(times).toBe(1)
})

describe('onConnect', () => {
  test('has a connection of its own kind, and by asPgClient the very client that is handed out', async () => {
    const prepared: [NewConnection, unknown][] = []
    const pool = testPool(database.url, {
      max: 1,
      onConnect: async (connection) => {
        const client = connection.asPgClient() as PgClient
        expect(connection.asPgClient()).toBe(client)
        prepared.push([connection, client])
        client.isSetUp = true
        client.setTypeParser(20, Number)
        await client.query("set application_name = 'by onConnect'")
      },
    })
    const pgPool = pool.asPgPool()
    const heard: unknown[] = []
    pgPool.on('connect', (client) => heard.push(client))
    const client = (await pgPool.connect()) as pg.PoolClient & PgClient
    expect(prepared).toEqual([[expect.not.objectContaining({ isSetUp: true }), client]])
    expect(prepared[0]?.[1]).toBe(client)
    expect(heard).toEqual([client])
    expect(client.isSetUp).toBe(true)
    expect((await client.query("select current_setting('application_name') as name, 7::int8 as n")).rows).toEqual([
      { name: 'by onConnect', n: 7 },
    ])
    client.release()
    await killSessions(database.url, pool)
    await pgPool.query('select 1')
    expect(prepared).toHaveLength(2)
    expect(prepared[1]?.[1]).not.toBe(client)
  })

  test('has that client also where nobody has asked for the view, and in the forms of pg', async () => {
    const seen: unknown[] = []
    const pool = testPool(database.url, {
      max: 1,
      // As the option verify of pg-pool is written.
      onConnect: (connection) =>
        new Promise<void>((resolve, reject) => {
          const client = connection.asPgClient() as pg.Client
          client.query('select 1 as one', (error: unknown, result: pg.QueryResult) => {
            seen.push(error, result.rows)
            const cursor = client.query(new Cursor('select generate_series(1, 5000000)'))
            // Not read to its end: nobody waits for it.
            cursor.read(1).then(() => resolve(), reject)
          })
        }),
    })
    expect((await pool.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    expect(seen).toEqual([null, [{ one: 1 }]])
  })

  test('refuses the connection with what the client is told; it is refused itself after that', async () => {
    const clients: pg.ClientBase[] = []
    let isWell = false
    const pool = testPool(database.url, {
      max: 1,
      onConnect: async (connection) => {
        const client = connection.asPgClient()
        clients.push(client)
        await client.query(isWell ? 'select 1' : 'select no_such_column')
      },
    })
    const pgPool = pool.asPgPool()
    const news: unknown[] = []
    for (const event of ['connect', 'error', 'remove'] as const) pgPool.on(event, () => news.push(event))
    expect((await rejection(pgPool.connect())).code).toBe('42703')
    expect(pgPool.totalCount).toBe(0)
    expect((await rejection(clients[0]?.query('select 1') as Promise<unknown>)).code).toBe(
      'LIFEGUARD_CONNECTION_RELEASED',
    )
    isWell = true
    await pgPool.query('select 1')
    expect(news).toEqual(['connect'])
    expect((await rejection(clients[1]?.query('select 1') as Promise<unknown>)).code).toBe(
      'LIFEGUARD_CONNECTION_RELEASED',
    )
  })

  test('whose session is lost, or whose client is ended, costs the attempt: no error of the pool', async () => {
    let times = 0
    const news: unknown[] = []
    const pool = testPool(database.url, {
      max: 1,
      onConnect: async (connection) => {
        times += 1
        const client = connection.asPgClient() as pg.Client
        client.on('error', () => news.push('client'))
        if (times === 1) await client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined)
        if (times === 2) await client.end()
      },
    })
    const pgPool = pool.asPgPool()
    for (const event of ['error', 'remove'] as const) pgPool.on(event, () => news.push(event))
    expect((await pgPool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(times).toBe(3)
    expect(news).toEqual(['client'])
  })
})

type PgClient = pg.ClientBase & { isSetUp?: boolean }

test('a session has the name of its pool where no application_name is set', async () => {
  const nameOf = async (pool: ReturnType<typeof testPool>): Promise<unknown> =>
    (await pool.asPgPool().query('show application_name')).rows[0]?.application_name
  expect(await nameOf(testPool(database.url, { max: 1 }))).toBe('lifeguard')
  expect(await nameOf(testPool(database.url, { max: 1, name: 'shop' }))).toBe('shop')
  expect(await nameOf(testPool(database.url, { max: 1, name: 'shop', applicationName: 'till' }))).toBe('till')
})
