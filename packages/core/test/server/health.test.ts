import { setTimeout } from 'node:timers/promises'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('up: where, role, how long it took, the breaker and how full the pool is', async () => {
  const pool = testPool(database.url)
  const { status, servers } = await pool.health()
  expect(status).toBe('up')
  expect(servers).toMatchObject([
    { role: 'primary', status: 'up', breaker: { state: 'closed' }, figures: { active: 0, max: 5 } },
  ])
  expect(servers[0]?.address).toContain(new URL(database.url).port)
  expect(servers[0]?.latencyMs).toBeGreaterThan(0)
  expect(servers[0]).not.toHaveProperty('error')
})

test('a pool that is full of work is well, and its queue is not waited in', async () => {
  const pool = testPool(database.url, { max: 1 })
  const connection = await pool.acquire()
  const waiting = pool.query('select 1')
  expect(await pool.health()).toMatchObject({ status: 'up', servers: [{ figures: { active: 1, waiting: 1 } }] })
  connection.release()
  await waiting
})

test('a server that has no place for one more session is not down: its statements are answered', async () => {
  await using admin = testPool(database.url)
  const role = `full_${process.pid}`
  await admin.query(`create role ${role} login password 'x' connection limit 2`)
  const url = new URL(database.url)
  url.username = role
  url.password = 'x'
  const pool = testPool(url.href, { max: 3 })
  const first = await pool.acquire()
  const second = await pool.acquire()
  // Answered a moment ago, so that nobody needs to dial.
  expect(await pool.health()).toMatchObject({ status: 'up', servers: [{ role: 'primary' }] })
  // Nothing was heard for longer than a second: the way beside the pool is taken, and is refused for want of a place.
  const held = await admin.acquire()
  await held.query('select pg_advisory_lock(1)')
  const busy = [first, second].map((one) => one.query('select pg_advisory_xact_lock_shared(1)'))
  await setTimeout(1_100)
  expect(await pool.health()).toMatchObject({
    status: 'degraded',
    servers: [{ status: 'degraded', error: { code: '53300' } }],
  })
  await held.query('select pg_advisory_unlock(1)')
  await Promise.all(busy)
  held.release()
  first.release()
  second.release()
  await pool.end()
  await admin.query(`drop role ${role}`)
})

test('the end of one idle session is no end of its server', async () => {
  await using admin = testPool(database.url)
  const pool = testPool(database.url, { applicationName: 'health-killed', max: 2 })
  await pool.query('select 1')
  await using proxy = await startFaultProxy({ target: database.url })
  const behind = testPool(proxy.url, { max: 2 })
  await behind.query('select 1')
  await proxy.cut()
  expect(await behind.health()).toMatchObject({ status: 'up' })
  await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'health-killed'")
  expect(await pool.health()).toMatchObject({ status: 'up' })
})

test('down: within its bound, with the reason', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url)
  await pool.query('select 1')
  await proxy.refuse()
  await proxy.cut()
  await eventually('the pool has seen it', () => pool.stats().pool.total === 0)
  expect(await pool.health()).toMatchObject({
    status: 'down',
    servers: [{ status: 'down', error: { code: 'ECONNREFUSED' } }],
  })
  await proxy.accept()
  expect(await pool.health({ timeoutMs: 10_000 })).toMatchObject({ status: 'up' })
  await proxy.stall()
  expect(await pool.health({ timeoutMs: 50 })).toMatchObject({
    status: 'down',
    servers: [{ role: 'primary', status: 'down', error: { code: 'LIFEGUARD_TIMEOUT' } }],
  })
  await proxy.resume()
  await pool.end()
})

test('its signal ends it', async () => {
  const pool = testPool(database.url)
  expect((await rejection(pool.health({ signal: AbortSignal.abort() }))).code).toBe('LIFEGUARD_ABORTED')
  expect((await rejection(pool.health({ timeoutMs: -1 }))).code).toBe('LIFEGUARD_INVALID_OPTION')
})
