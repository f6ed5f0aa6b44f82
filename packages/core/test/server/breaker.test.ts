import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type BreakerEvent, BreakerOpenError, type Pool, type PoolOptions } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })

let proxy: FaultProxy
beforeEach(async () => {
  proxy = await startFaultProxy({ target: database.url })
})
afterEach(() => proxy[Symbol.asyncDispose]())

function newPool(options: Omit<PoolOptions, 'connectionString'> = {}): {
  pool: Pool
  changes: BreakerEvent[]
} {
  const pool = testPool(proxy.url, options)
  const changes: BreakerEvent[] = []
  pool.on('breaker', (event) => changes.push(event))
  return { pool, changes }
}

/** The port is closed, and every connection is gone. */
async function die(): Promise<void> {
  await proxy.refuse()
  await proxy.cut()
}

const ping = (pool: Pool, timeoutMs = 100): Promise<unknown> => pool.query('select 1', [], { timeoutMs })

/** Asks until the breaker is open. */
async function askUntilOpen(pool: Pool, timeoutMs = 100): Promise<void> {
  await eventually('the breaker is open', async () => {
    await Promise.allSettled(Array.from({ length: 5 }, () => ping(pool, timeoutMs)))
    return pool.stats().servers[0]?.breaker?.state === 'open'
  })
}

/** The least of a few tries: what the pool needs, not what a busy machine adds. */
async function fastest(tries: number, fn: () => Promise<unknown>): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let made = 0; made < tries; made++) {
    const since = performance.now()
    await fn()
    least = Math.min(least, performance.now() - since)
  }
  return least
}

const steady = { openMs: 30_000, maxOpenMs: 30_000 }

describe('a dead host', () => {
  test('opens the breaker once enough callers got nothing; then they fail at once, with what the last attempt said', async () => {
    const { pool, changes } = newPool({ breaker: steady })
    await ping(pool, 5_000)
    await die()
    await askUntilOpen(pool)
    const errors: unknown[] = []
    const ms = await fastest(20, async () => errors.push(await rejection(pool.query('select 1'))))
    expect(ms).toBeLessThan(5)
    for (const error of errors) {
      expect(error).toBeInstanceOf(BreakerOpenError)
      expect(error).toMatchObject({ cause: { code: 'ECONNREFUSED' }, retryable: true })
    }
    expect(await rejection(pool.acquire())).toBeInstanceOf(BreakerOpenError)
    expect(await rejection(pool.withTransaction((tx) => tx.query('select 1')))).toBeInstanceOf(BreakerOpenError)
    expect(changes).toMatchObject([{ from: 'closed', to: 'open', reason: 'failure-rate', role: 'primary' }])
    expect(changes[0]?.figures.calls).toBeGreaterThanOrEqual(20)
    expect(pool.stats()).toMatchObject({ servers: [{ breaker: { state: 'open', opened: 1 } }] })
    expect(pool.stats().waits.refusals.breakerOpen).toBeGreaterThanOrEqual(22)
  })

  test('sends away who waits when it opens, and lets a commit proof go on', async () => {
    const { pool } = newPool({ acquireTimeoutMs: 60_000, breaker: steady })
    await ping(pool, 5_000)
    await proxy.rule({ statement: 'commit', when: 'after', action: 'cut' })
    await proxy.refuse()
    const proven = pool.withTransaction((tx) => tx.query('insert into item values (1)'), {
      proveCommit: { timeoutMs: 60_000 },
    })
    await eventually('the proof waits', () => pool.stats().waits.waiting === 1)
    const patient = rejection(pool.query('select 1'))
    await askUntilOpen(pool)
    expect(await patient).toMatchObject({ code: 'LIFEGUARD_BREAKER_OPEN', cause: { code: 'ECONNREFUSED' } })
    await proxy.accept()
    await proven
  })

  test('comes back through its probes, and through no more than three at a time', async () => {
    const { pool, changes } = newPool({ breaker: { openMs: 50, maxOpenMs: 200 } })
    await die()
    await askUntilOpen(pool)
    await proxy.accept()
    await eventually('it is closed again', async () => {
      await Promise.allSettled(Array.from({ length: 10 }, () => ping(pool, 5_000)))
      return pool.stats().servers[0]?.breaker?.state === 'closed'
    })
    expect(changes.at(-1)).toMatchObject({ from: 'half-open', to: 'closed', reason: 'probes-succeeded' })
    expect(changes.at(-1)?.figures).toMatchObject({ calls: 3, failures: 0 })
    expect(await Promise.all(Array.from({ length: 20 }, () => ping(pool, 5_000)))).toHaveLength(20)
  })

  test('is noticed to be back before its open time is over', async () => {
    const { pool, changes } = newPool({ breaker: steady })
    await die()
    await askUntilOpen(pool)
    await proxy.accept()
    await eventually('probes are let through', () => pool.stats().servers[0]?.breaker?.state === 'half-open')
    expect(changes.at(-1)).toMatchObject({ from: 'open', to: 'half-open', reason: 'server-answers' })
    for (let call = 0; call < 3; call++) await ping(pool, 5_000)
    expect(pool.stats().servers[0]?.breaker?.state).toBe('closed')
  })

  test('transactions are probes too, and one that runs nothing makes way', async () => {
    const { pool } = newPool({ breaker: { openMs: 1, maxOpenMs: 30_000 } })
    await die()
    await askUntilOpen(pool)
    await proxy.accept()
    const idle = await eventually('it lets a probe through', () =>
      pool.acquire({ timeoutMs: 5_000 }).catch(() => undefined),
    )
    expect(pool.stats().servers[0]?.breaker).toMatchObject({ state: 'half-open', calls: 0 })
    idle.release()
    for (let call = 0; call < 3; call++) await pool.withTransaction((tx) => tx.query('select 1'))
    expect(pool.stats().servers[0]?.breaker?.state).toBe('closed')
  })
})

describe('a stalled host', () => {
  test('opens the breaker: statements whose time is up without an answer count, and who waited for a connection meanwhile', async () => {
    const { pool, changes } = newPool({ max: 2, breaker: steady })
    await Promise.all([ping(pool, 5_000), ping(pool, 5_000)])
    await proxy.stall()
    await askUntilOpen(pool)
    expect(changes).toMatchObject([{ to: 'open', reason: 'failure-rate' }])
    expect(pool.stats().waits.refusals.poolBusy).toBeGreaterThan(0)
    const ms = await fastest(20, () => rejection(ping(pool)))
    expect(ms).toBeLessThan(5)
    expect(await rejection(ping(pool))).toMatchObject({ code: 'LIFEGUARD_BREAKER_OPEN' })
    await proxy.resume()
  })

  test('works again when the network does', async () => {
    const { pool } = newPool({ max: 2, breaker: { openMs: 20, maxOpenMs: 100 } })
    await Promise.all([ping(pool, 5_000), ping(pool, 5_000)])
    await proxy.stall()
    await askUntilOpen(pool)
    await proxy.resume()
    await eventually('it is closed again', async () => {
      await Promise.allSettled([ping(pool, 5_000)])
      return pool.stats().servers[0]?.breaker?.state === 'closed'
    })
    await ping(pool, 5_000)
  })
})

describe('what does not open it', () => {
  const eager = { minCalls: 1, failureRate: 0.01, slowRate: 0.01 }

  test('a restart that nobody had to give up for', async () => {
    const { pool, changes } = newPool({
      max: 10,
      acquireTimeoutMs: 30_000,
      breaker: { minCalls: 5, failureRate: 0.5 },
      retryReads: false,
    })
    // A fresh pool, with no successes behind it to weigh against ten sessions that are lost at the same moment.
    const lost = Array.from({ length: 10 }, () => pool.query('select pg_sleep(30)').catch((error: unknown) => error))
    const admin = testPool(database.url, { max: 1 })
    const sleeping = "from pg_stat_activity where query = 'select pg_sleep(30)'"
    await eventually('all of them run', async () => (await admin.query(`select pid ${sleeping}`)).rows.length === 10)
    await die()
    await Promise.all(lost)
    const patient = Array.from({ length: 50 }, () => pool.query('select 1 as one'))
    await eventually('many attempts to connect have failed', () => pool.stats().pool.connectFailed >= 8)
    await proxy.accept()
    for (const { rows } of await Promise.all(patient)) expect(rows).toEqual([{ one: 1 }])
    expect(changes).toEqual([])
    // The server has not noticed that nobody is there any more.
    await admin.query(`select pg_terminate_backend(pid) ${sleeping}`)
  })

  test('errors of the user', async () => {
    const { pool, changes } = newPool({ breaker: eager })
    await pool.query('insert into item values (2) on conflict do nothing')
    for (let call = 0; call < 20; call++) {
      expect((await rejection(pool.query('insert into item values (2)'))).code).toBe('23505')
      expect((await rejection(pool.query('select nothing from nowhere'))).code).toBe('42P01')
      expect((await rejection(pool.query('select $1::int', ['x']))).code).toBe('22P02')
    }
    expect(changes).toEqual([])
    expect(pool.stats().servers[0]?.breaker).toMatchObject({ calls: 61, failures: 0, slow: 0 })
  })

  test('a busy pool, and callers who give up', async () => {
    const { pool, changes } = newPool({ max: 1, breaker: eager })
    const connection = await pool.acquire()
    for (let call = 0; call < 10; call++) {
      expect((await rejection(ping(pool, 5))).code).toBe('LIFEGUARD_ACQUIRE_TIMEOUT')
    }
    connection.release()
    const controller = new AbortController()
    const aborted = rejection(pool.query('select pg_sleep(30)', [], { signal: controller.signal }))
    await eventually('it runs', () => pool.stats().pool.active === 1)
    controller.abort()
    expect((await aborted).code).toBe('LIFEGUARD_ABORTED')
    expect(changes).toEqual([])
    // The way to the server must stay open until the server has stopped it.
    await eventually('the statement was cancelled', () => pool.stats().pool.active === 0)
  })

  test('nothing at all when it is off', async () => {
    const { pool, changes } = newPool({ breaker: false })
    await die()
    for (let round = 0; round < 6; round++) await Promise.allSettled(Array.from({ length: 5 }, () => ping(pool, 20)))
    expect((await rejection(ping(pool, 20))).code).toBe('LIFEGUARD_SERVER_UNAVAILABLE')
    expect(changes).toEqual([])
    expect(pool.stats().servers[0]?.breaker).toBeUndefined()
    await proxy.accept()
  })
})

test('what holds a connection already goes on while the breaker is open, and health() looks past it', async () => {
  const { pool } = newPool({ max: 3, breaker: { ...steady, minCalls: 2, failureRate: 0.01 } })
  await using lock = await pool.acquireLock('report')
  const tx = await pool.beginTransaction()
  await tx.query('insert into item values (3)')
  await proxy.rule({ statement: /stalled/, when: 'before', action: 'stall' })
  await eventually('the breaker is open', async () => {
    await rejection(pool.query('select 1 as stalled', [], { timeoutMs: 20 }))
    return pool.stats().servers[0]?.breaker?.state === 'open'
  })
  await tx.query('insert into item values (4)')
  await tx.commit()
  expect(lock.signal.aborted).toBe(false)
  expect(pool.stats().servers[0]?.breaker?.state).toBe('open')
  expect(await pool.health({ timeoutMs: 5_000 })).toMatchObject({
    status: 'degraded',
    servers: [{ status: 'up', role: 'primary', breaker: { state: 'open', reason: 'failure-rate' } }],
  })
  await proxy.resume()
})
