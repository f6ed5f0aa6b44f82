import { AsyncLocalStorage } from 'node:async_hooks'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import {
  ConnectionReleasedError,
  createPool,
  InvalidArgumentError,
  type NewConnection,
  OperationTimeoutError,
  type PoolOptions,
  sql,
} from '../../src/index.js'
import { watchSessions } from '../support/sessions-named.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const sessions = watchSessions(database)

const pooled = (name: string, onConnect: PoolOptions['onConnect'], options: PoolOptions = {}) =>
  testPool(database.url, { name, max: 1, onConnect, ...options })

describe('onConnect', () => {
  test('prepares each new connection before anybody has it, and no connection twice', async () => {
    const pids: number[] = []
    const pool = pooled('prepares', async (connection) => {
      pids.push(connection.pid)
      await connection.query("select set_config('app.tenant', $1, false)", ['one'])
      await connection.query(sql`create temp table basket as select ${7}::int as item`)
    })
    const ask = () =>
      pool.query("select current_setting('app.tenant') as tenant, item, pg_backend_pid() as pid from basket")
    const first = await ask()
    expect(first.rows).toEqual([{ tenant: 'one', item: 7, pid: pids[0] }])
    await Promise.all([ask(), ask(), pool.withTransaction((tx) => tx.query('select * from basket'))])
    expect(pids).toHaveLength(1)
    await pool.evict('all')
    await ask()
    expect(pids).toHaveLength(2)
  })

  test('goes ahead with what it has not waited for', async () => {
    const pool = pooled('eager', (connection) => void connection.query("set app.tenant = 'late'"))
    expect((await pool.query("select current_setting('app.tenant') as tenant")).rows).toEqual([{ tenant: 'late' }])
  })

  test('counts for the connections of the facade, and comes before its event', async () => {
    const order: string[] = []
    const pool = pooled('facade', () => void order.push('onConnect'))
    const view = pool.asPgPool()
    view.on('connect', () => order.push('connect'))
    const client = await view.connect()
    client.release()
    expect(order).toEqual(['onConnect', 'connect'])
  })

  test('runs in no context of a caller, and in no transaction of one', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const pool = pooled('context', (connection) => {
      seen.push(storage.getStore())
      return connection.query('select 1').then(() => seen.push(storage.getStore()))
    })
    await storage.run('of a caller', () => pool.withTransaction((tx) => tx.query('select 1')))
    expect(seen).toEqual([undefined, undefined])
  })

  test('has its connection until it has settled, and no longer', async () => {
    let kept: NewConnection | undefined
    const pool = pooled('kept', (connection) => {
      kept = connection
    })
    await pool.query('select 1')
    expect(await rejection(kept?.query('select 1') as Promise<unknown>)).toBeInstanceOf(ConnectionReleasedError)
    expect(() => kept?.pid).toThrow(ConnectionReleasedError)
  })

  test('is a function', () => {
    for (const onConnect of ['set x', 1, true, null]) {
      expect(() => createPool({ onConnect } as never)).toThrow(/^onConnect is .*; allowed: a function$/)
    }
  })
})

describe('onConnect that fails', () => {
  const ways: Readonly<Record<string, (error: Error) => PoolOptions['onConnect']>> = {
    throws: (error) => () => {
      throw error
    },
    rejects: (error) => () => Promise.reject(error),
    'rejects after a statement': (error) => async (connection) => {
      await connection.query('select 1')
      throw error
    },
    'rejects beside a statement': (error) => (connection) => {
      connection.query('select pg_sleep(60)').catch(() => undefined)
      return Promise.reject(error)
    },
  }
  test.each(Object.entries(ways))(
    '%s: the caller gets its error, nothing is left, and the next one may succeed',
    async (_, way) => {
      const error = new Error('not this one')
      let fails = true
      const failing = way(error)
      const pool = pooled('fails', (connection) => (fails ? failing?.(connection) : undefined))
      expect(await rejection(pool.query('select 1'))).toBe(error)
      expect(pool.stats()).toMatchObject({ pool: { total: 0, active: 0, connectFailed: 1 }, waits: { waiting: 0 } })
      expect(await rejection(pool.withTransaction((tx) => tx.query('select 1')))).toBe(error)
      await eventually('its session is gone', async () => (await sessions.count('fails')) === 0)
      fails = false
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(pool.stats().servers[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 })
    },
  )

  test('with what the server said: that is the error', async () => {
    const pool = pooled('server-error', (connection) => connection.query('set role nobody_at_all'))
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: '22023' })
    expect(await rejection(pool.query('select 1'))).toBeInstanceOf(pg.DatabaseError)
  })

  test('with no error: it is said in one', async () => {
    const pool = pooled('no-error', () => {
      throw 'nothing'
    })
    expect(await rejection(pool.query('select 1'))).toMatchObject({
      message: 'onConnect has thrown nothing',
      cause: 'nothing',
    })
  })

  test('refuses one connection, and not those who wait for others', async () => {
    const error = new Error('not this one')
    const refused = Promise.withResolvers<void>()
    let calls = 0
    const pool = pooled(
      'one-of-many',
      () => {
        calls += 1
        if (calls === 1) throw error
        // The others are there when somebody has been told.
        return refused.promise
      },
      { max: 3 },
    )
    const asked = [1, 2, 3, 4, 5].map(() => pool.query('select 1'))
    for (const one of asked) one.catch(() => refused.resolve())
    const settled = await Promise.allSettled(asked)
    expect(settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toEqual([error])
  })

  test('never makes more sessions than max, and lets the pool end', async () => {
    const pool = pooled(
      'storm',
      async (connection) => {
        await connection.query('select 1')
        throw new Error('never')
      },
      { max: 2 },
    )
    let settled: readonly PromiseSettledResult<unknown>[] = []
    const most = await sessions.mostDuring('storm', async () => {
      settled = await Promise.allSettled(Array.from({ length: 12 }, () => pool.query('select 1')))
    })
    expect(settled.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 'rejected'))
    expect(most).toBeLessThanOrEqual(2)
    await pool.end()
    await eventually('nothing is left', async () => (await sessions.count('storm')) === 0)
  })

  test('to settle: within connectTimeoutMs', async () => {
    let hangs = true
    const pool = pooled('hangs', () => (hangs ? new Promise(() => undefined) : undefined), { connectTimeoutMs: 300 })
    const error = await rejection(pool.query('select 1'))
    expect(error).toBeInstanceOf(OperationTimeoutError)
    expect(error).toMatchObject({ timeoutMs: 300, outcome: 'not-sent' })
    expect((error.cause as Error).message).toContain('onConnect has not settled')
    await eventually('its session is gone', async () => (await sessions.count('hangs')) === 0)
    hangs = false
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('to end what it began', async () => {
    const pool = pooled('left-open', (connection) => connection.query('begin'))
    const error = await rejection(pool.query('select 1'))
    expect(error).toBeInstanceOf(InvalidArgumentError)
    expect(error.message).toContain('in a transaction')
    await eventually('its session is gone', async () => (await sessions.count('left-open')) === 0)
  })

  test('as its connection was lost: like one that could not be opened, another is', async () => {
    let calls = 0
    const pool = pooled('lost', async (connection) => {
      calls += 1
      if (calls === 1) await connection.query('select pg_terminate_backend(pg_backend_pid())')
    })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(calls).toBe(2)
  })

  test('to settle before the pool is torn down', async () => {
    let called = (): void => undefined
    const isCalled = new Promise<void>((resolve) => {
      called = resolve
    })
    const pool = pooled('torn-down', () => {
      called()
      return new Promise(() => undefined)
    })
    const refused = rejection(pool.query('select 1'))
    await isCalled
    await pool.end({ timeoutMs: 0 })
    expect(await refused).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
    await eventually('its session is gone', async () => (await sessions.count('torn-down')) === 0)
  })
})
