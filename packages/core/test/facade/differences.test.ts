import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
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
  await eventually('another one is open', () => pgPool.idleCount === 1 && pool.stats().opened >= 2)

  const lasting = testPool(database.url, { max: 1 }).asPgPool()
  await rejection(lasting.query('no sql'))
  expect([lasting.idleCount, lasting.totalCount]).toEqual([1, 1])
})

test('onConnect has a connection of its own kind, a listener of connect the client', async () => {
  const prepared: unknown[] = []
  const pool = testPool(database.url, {
    max: 1,
    onConnect: async (connection) => {
      prepared.push(connection)
      await connection.query("set application_name = 'by onConnect'")
    },
  })
  const pgPool = pool.asPgPool()
  const heard: unknown[] = []
  pgPool.on('connect', (client) => heard.push(client))
  const client = await pgPool.connect()
  expect(heard).toEqual([client])
  expect(prepared).toHaveLength(1)
  expect(prepared[0]).not.toBe(client)
  expect((await client.query('show application_name')).rows).toEqual([{ application_name: 'by onConnect' }])
  client.release()
  await killSessions(database.url, pool)
  await pgPool.query('select 1')
  expect(prepared).toHaveLength(2)
})

test('a session has the name of its pool where no application_name is set', async () => {
  const nameOf = async (pool: ReturnType<typeof testPool>): Promise<unknown> =>
    (await pool.asPgPool().query('show application_name')).rows[0]?.application_name
  expect(await nameOf(testPool(database.url, { max: 1 }))).toBe('lifeguard')
  expect(await nameOf(testPool(database.url, { max: 1, name: 'shop' }))).toBe('shop')
  expect(await nameOf(testPool(database.url, { max: 1, name: 'shop', applicationName: 'till' }))).toBe('till')
})
