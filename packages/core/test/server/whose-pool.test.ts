import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { AcquireTimeoutError, createPool, type LifeguardError, type Pool, type PoolOptions } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
const shop = (options: PoolOptions = {}): Pool => testPool(database.url, { name: 'shop', max: 1, ...options })
const server = (): string => {
  const { hostname, port } = new URL(database.url)
  return `${hostname}:${port}`
}
const failure = async (promise: Promise<unknown>): Promise<LifeguardError> =>
  (await rejection(promise)) as LifeguardError

describe('an error says which pool and which server it is about', () => {
  const ways: Readonly<Record<string, () => Promise<LifeguardError>>> = {
    LIFEGUARD_ACQUIRE_TIMEOUT: async () => {
      const pool = shop()
      await using _ = await pool.acquire()
      return await failure(pool.query('select 1', [], { timeoutMs: 50 }))
    },
    LIFEGUARD_QUEUE_FULL: async () => {
      const pool = shop({ maxWaiting: 0 })
      await using _ = await pool.acquire()
      return await failure(pool.acquire())
    },
    LIFEGUARD_SELF_DEADLOCK: async () => {
      const pool = shop()
      return await failure(
        pool.withTransaction(async (tx) => {
          await tx.query('select 1')
          await pool.outsideTransaction(() => pool.query('select 1'))
        }),
      )
    },
    LIFEGUARD_TIMEOUT: async () => {
      const connection = await shop().acquire()
      return await failure(connection.query('select pg_sleep(60)', [], { timeoutMs: 50 })).finally(() =>
        connection.release(),
      )
    },
    LIFEGUARD_ABORTED: async () => {
      const connection = await shop().acquire()
      const signal = AbortSignal.timeout(50)
      return await failure(connection.query('select pg_sleep(60)', [], { signal })).finally(() => connection.release())
    },
    LIFEGUARD_TRANSACTION_ROLLED_BACK: async () =>
      failure(shop().withTransaction((tx) => tx.query('nonsense').catch(() => undefined))),
    LIFEGUARD_LOCK_TIMEOUT: async () => {
      const pool = shop({ max: 4 })
      return await pool.withLock('k', () =>
        failure(
          pool.outsideTransaction(() =>
            testPool(database.url, { name: 'shop' }).withLock('k', async () => 1, { waitMs: 20 }),
          ),
        ),
      )
    },
  }
  test.each(Object.entries(ways))('%s', async (code, way) => {
    const error = await way()
    expect({ code: error.code, pool: error.pool, server: error.server }).toEqual({
      code,
      pool: 'shop',
      server: server(),
    })
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ pool: 'shop', server: server() })
  })

  test('also of a server that is not there', async () => {
    const pool = createPool({
      host: '127.0.0.1',
      port: 1,
      user: 'x',
      password: 'x',
      name: 'away',
      acquireTimeoutMs: 50,
    })
    const error = await failure(pool.query('select 1'))
    expect(error).toMatchObject({ code: 'LIFEGUARD_SERVER_UNAVAILABLE', pool: 'away', server: '127.0.0.1:1' })
    await pool.end()
    expect(await failure(pool.query('select 1'))).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED', pool: 'away' })
    expect(await failure(pool.beginTransaction())).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED', pool: 'away' })
  })

  test('and of a connection that was cut', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.url, { name: 'shop', retryReads: false })
    const lost = failure(pool.query('select pg_sleep(1), clock_timestamp()'))
    await eventually('it runs', () => pool.active()[0]?.text !== undefined)
    await proxy.cut()
    const { hostname, port } = new URL(proxy.url)
    expect(await lost).toMatchObject({
      code: 'LIFEGUARD_CONNECTION_LOST',
      pool: 'shop',
      server: `${hostname}:${port}`,
    })
  })

  test('a batch, and a connection that was given back, say their pool', async () => {
    const pool = shop()
    const connection = await pool.acquire()
    connection.release()
    expect(await failure(connection.query('select 1'))).toMatchObject({
      code: 'LIFEGUARD_CONNECTION_RELEASED',
      pool: 'shop',
    })
    const batch = pool.batch([{ text: 'select 1' }, { text: 'nonsense' }])
    expect(await failure(batch)).toMatchObject({ code: 'LIFEGUARD_BATCH_FAILED', pool: 'shop' })
  })

  test('a transaction that is over says its pool', async () => {
    const tx = await shop().beginTransaction()
    await tx.commit()
    expect(await failure(tx.query('select 1'))).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED', pool: 'shop' })
  })

  test('what the server says is left as it is', async () => {
    const error = await rejection(shop().query('nonsense'))
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).not.toHaveProperty('pool')
    expect(error).not.toHaveProperty('server')
  })
})

describe('no connection in time: the error says who has them', () => {
  test('what runs, for how long, and which transactions are open', async () => {
    const pool = shop({ max: 3, acquireTimeoutMs: 10_000 })
    const tx = await pool.beginTransaction()
    await tx.query('select 1')
    const failed = await pool.beginTransaction()
    await failed.query('nonsense').catch(() => undefined)
    const abort = new AbortController()
    const running = rejection(
      pool.withTransaction(
        async (inner) => {
          await inner.query('select 1')
          await inner.query('select\n  pg_sleep(60),\n  $1::text as secret', ['hunter2'])
        },
        {
          signal: abort.signal,
        },
      ),
    )
    await eventually('it runs', () => pool.active().some(({ text }) => text !== undefined))
    const error = (await failure(pool.acquire({ timeoutMs: 200 }))) as AcquireTimeoutError
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error.message).toMatch(/^no connection within 2\d\d ms: the pool shop is busy \(3\/3 busy, /)
    expect(error.holders).toEqual([
      { heldMs: expect.any(Number), text: undefined, runningMs: 0, transaction: 'open' },
      { heldMs: expect.any(Number), text: undefined, runningMs: 0, transaction: 'failed' },
      {
        heldMs: expect.any(Number),
        text: 'select pg_sleep(60), $1::text as secret',
        runningMs: expect.any(Number),
        transaction: 'open',
      },
    ])
    expect(error.message).toMatch(/; held for \d+ ms, in an open transaction, nothing runs on it; held for /)
    expect(error.message).toMatch(/; held for \d+ ms, in a failed transaction, nothing runs on it; held for /)
    expect(error.message).toMatch(
      /in an open transaction, running for \d+ ms: select pg_sleep\(60\), \$1::text as secret$/,
    )
    expect(error.message).not.toContain('hunter2')
    abort.abort()
    await running
    await tx.rollback()
    await failed.rollback()
  })

  test('three at most, and a long text cut off', async () => {
    const pool = shop({ max: 5, acquireTimeoutMs: 10_000 })
    const abort = new AbortController()
    const text = `select pg_sleep(60) ${'/* long */ '.repeat(10_000)}`
    const running = Array.from({ length: 5 }, () =>
      rejection(pool.withTransaction((tx) => tx.query(text), { signal: abort.signal })),
    )
    await eventually('they run', () => pool.active().filter((one) => one.text !== undefined).length === 5)
    const error = (await failure(pool.acquire({ timeoutMs: 200 }))) as AcquireTimeoutError
    expect(error.holders).toHaveLength(3)
    expect(error.message.length).toBeLessThan(1_000)
    abort.abort()
    await Promise.all(running)
  })
})
