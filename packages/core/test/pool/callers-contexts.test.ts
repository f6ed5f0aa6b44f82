import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { types as pgTypes } from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Pool, PoolOptions } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int)' })
const request = new AsyncLocalStorage<string>()

/** In whose context each thing was seen. */
let seen: Record<string, (string | undefined)[]> = {}
const note = (what: string): void => {
  seen[what] ??= []
  seen[what].push(request.getStore())
}
beforeEach(() => {
  seen = {}
})
afterAll(() => {
  vi.restoreAllMocks()
})

/** Fails unless it was seen, and by nobody else than these; `undefined` is no context at all. */
function expectOnly(what: string, ...allowed: (string | undefined)[]): void {
  expect([what, seen[what]?.length ?? 0]).not.toEqual([what, 0])
  expect([what, [...new Set(seen[what])].filter((who) => !allowed.includes(who))]).toEqual([what, []])
}

/** A pool whose one connection was opened by `opener`, and is idle. */
async function opened(options: Omit<PoolOptions, 'connectionString'> = {}): Promise<Pool> {
  const pool = testPool(database.url, { max: 1, ...options })
  await request.run('opener', () => pool.query('select 1'))
  return pool
}

/** Has the one connection given over from `releaser` to whoever waits for it. */
async function handedOver<T>(pool: Pool, asks: () => Promise<T>): Promise<T> {
  const held = await request.run('releaser', () => pool.acquire())
  const asked = request.run('asker', asks)
  await eventually('it waits', () => pool.stats().waits.waiting === 1)
  await request.run('releaser', async () => held.release())
  return await asked
}

const notice = `do $$ begin raise notice 'look'; perform pg_notify('news', 'a'); end $$`

/** Values whose parser says in whose context it runs. */
const types = {
  getTypeParser: ((oid: number, format?: 'text') => {
    if (oid !== pgTypes.builtins.INT4) return pgTypes.getTypeParser(oid, format)
    return (value: string) => {
      note('parser')
      return Number(value)
    }
  }) as typeof pgTypes.getTypeParser,
}

describe('the facade', () => {
  test('notices, notifications and the end of a client', async () => {
    const pool = await opened()
    await handedOver(pool, async () => {
      const client = await pool.asPgPool().connect()
      for (const name of ['notice', 'notification', 'end', 'error'] as const) client.on(name, () => note(name))
      await client.query('listen news')
      await client.query(notice)
      await eventually('it is heard', () => seen['notification'] !== undefined)
      await rejection(request.run('beside', () => client.query('select pg_terminate_backend(pg_backend_pid())')))
      await eventually('its loss is heard', () => seen['error'] !== undefined)
      client.release()
    })
    for (const name of ['notice', 'notification', 'error']) expectOnly(name, 'asker', undefined)
  })

  test('events of the pool', async () => {
    const pool = testPool(database.url, { max: 1 })
    const view = pool.asPgPool()
    for (const name of ['connect', 'acquire', 'release', 'remove', 'error'] as const) view.on(name, () => note(name))
    const client = await request.run('opener', () => view.connect())
    request.run('opener', () => client.release())
    await handedOver(pool, async () => {
      const own = await view.connect()
      own.release(true)
    })
    await eventually('it is removed', () => seen['remove'] !== undefined)
    expectOnly('connect', undefined)
    expectOnly('remove', undefined)
    // Of its own connection, once each: what the asker waits for is not reported in its context.
    for (const name of ['acquire', 'release']) {
      expect(seen[name]?.filter((who) => who === 'releaser')).toHaveLength(1)
      expectOnly(name, 'opener', 'asker', 'releaser', undefined)
    }
  })

  test('cursors, with callbacks and with promises', async () => {
    const pool = await opened()
    await handedOver(pool, async () => {
      const client = await pool.asPgPool().connect()
      const cursor = client.query(new Cursor('select generate_series(1, 10)::int4 as n', [], { types }))
      await new Promise<void>((resolve, reject) => {
        cursor.read(3, (error, rows) => {
          note('callback')
          if (error) reject(error)
          else resolve()
          return rows
        })
      })
      await cursor.read(3)
      note('promise')
      await cursor.close()
      client.release()
    })
    expectOnly('callback', 'asker', undefined)
    expectOnly('parser', 'asker', undefined)
    expectOnly('promise', 'asker')
  })

  test('a query stream that another one reads, and what comes behind it', async () => {
    const pool = await opened()
    await handedOver(pool, async () => {
      const client = await pool.asPgPool().connect()
      const stream = client.query(new QueryStream('select generate_series(1, 500)::int4 as n', [], { types }))
      stream.on('data', () => note('data'))
      await once(stream, 'end')
      client.release()
    })
    expectOnly('data', 'asker', undefined)
    expectOnly('parser', 'asker', undefined)
  })

  test('the callback forms', async () => {
    const pool = await opened()
    await handedOver(pool, async () => {
      await new Promise<void>((resolve) => {
        pool.asPgPool().query('select 1', () => {
          note('callback')
          resolve()
        })
      })
      await new Promise<void>((resolve) => {
        pool.asPgPool().connect((_, client, done) => {
          note('connect callback')
          client?.query('select 1', () => {
            note('client callback')
            done()
            resolve()
          })
        })
      })
    })
    for (const what of ['callback', 'connect callback', 'client callback']) expectOnly(what, 'asker')
  })
})

describe('COPY and streams', () => {
  test('the progress of copyTo is its caller’s, whoever reads', async () => {
    const pool = await opened()
    const text = 'select repeat($$x$$, 100) from generate_series(1, 50000)'
    const out = request.run('asker', () => pool.copyTo({ text }, { onProgress: () => note('progress') }))
    // While the reader reads, and so resumes the socket, others stand behind the COPY.
    const read = request.run('reader', async () => {
      for await (const _ of out) await new Promise(setImmediate)
    })
    const behind = request.run('beside', () => pool.query({ text: 'select 1::int4 as a', types }))
    await Promise.all([read, behind])
    expectOnly('progress', 'asker')
    expectOnly('parser', 'beside', undefined)
  })

  test('the rows and the progress of copyFrom', async () => {
    const pool = await opened()
    const rows = {
      *[Symbol.iterator]() {
        note('rows')
        yield [1]
        note('rows')
      },
    }
    await handedOver(pool, () =>
      pool.copyFrom({ table: 'entry', columns: ['id'] }, rows, { onProgress: () => note('progress') }),
    )
    expectOnly('rows', 'asker')
    expectOnly('progress', 'asker')
  })

  test('the parsers of a stream that another one reads', async () => {
    const pool = await opened()
    const rows = request.run('asker', () => pool.stream({ text: 'select generate_series(1, 1000)::int4 as n', types }))
    await request.run('reader', async () => {
      for await (const _ of rows);
    })
    expectOnly('parser', 'asker', 'reader', undefined)
  })
})

describe('events and what is called later', () => {
  test('retry and hook-error', async () => {
    const pool = await opened()
    for (const name of ['retry', 'hook-error', 'query'] as const) pool.on(name, () => note(name))
    const channels = ['retry', 'hook-error', 'query'].map((name) => [`pg-lifeguard:${name}`, () => note(name)] as const)
    for (const [name, heard] of channels) subscribe(name, heard)
    try {
      let attempts = 0
      await handedOver(pool, () =>
        pool.withTransaction(async (tx) => {
          note('attempt')
          tx.afterCommit(() => {
            note('hook')
            throw new Error('of a hook')
          })
          await tx.query('select 1')
          attempts += 1
          if (attempts === 1) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
        }),
      )
    } finally {
      for (const [name, heard] of channels) unsubscribe(name, heard)
    }
    for (const what of ['attempt', 'hook']) expectOnly(what, 'asker')
    for (const what of ['retry', 'hook-error', 'query']) expectOnly(what, 'asker', undefined)
  })

  test('the gap of a subscription is told to its own caller', async () => {
    const pool = await opened()
    await request.run('first', () => pool.listen('news', () => note('first'), { onGap: () => note('gap of first') }))
    await request.run('second', () => pool.listen('news', () => note('second'), { onGap: () => note('gap of second') }))
    await request.run('killer', () =>
      pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`),
    )
    await eventually('both are told', () => seen['gap of first'] !== undefined && seen['gap of second'] !== undefined)
    await request.run('sender', () => pool.notify('news'))
    await eventually('both hear', () => seen['first'] !== undefined && seen['second'] !== undefined)
    for (const who of ['first', 'second']) {
      expectOnly(who, who)
      expectOnly(`gap of ${who}`, who)
    }
  })

  test('flights of withFallback: each calls what is its own', async () => {
    const pool = await opened()
    const cache = { get: () => undefined, set: () => note('set') }
    const asked = Promise.withResolvers<void>()
    const abort = new AbortController()
    const ask = (who: string, signal?: AbortSignal) =>
      request.run(who, () =>
        pool.withFallback(
          'key',
          async () => {
            note(`fn of ${who}`)
            asked.resolve()
            if (who === 'leader') await new Promise((resolve) => abort.signal.addEventListener('abort', resolve))
            return (await pool.query('select 1 as n')).rows
          },
          { cache, signal },
        ),
      )
    const leader = rejection(ask('leader', abort.signal))
    await asked.promise
    const joiner = ask('joiner')
    await request.run('aborter', async () => abort.abort())
    expect(await leader).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    expect((await joiner).value).toEqual([{ n: 1 }])
    expectOnly('fn of leader', 'leader')
    expectOnly('fn of joiner', 'joiner')
    expectOnly('set', 'joiner')
  })

  test('an async password is asked for in no context', async () => {
    const url = new URL(database.url)
    const secret = decodeURIComponent(url.password)
    url.password = ''
    const password = (): Promise<string> => {
      note('password')
      return Promise.resolve(secret)
    }
    const pool = testPool(url.href, { max: 2, password })
    await request.run('asker', () => pool.query('select 1'))
    await request.run('listener', () => pool.listen('news', () => undefined))
    await request.run('asker', () => rejection(pool.query('select pg_sleep(60)', [], { timeoutMs: 5 })))
    expectOnly('password', undefined)
  })

  test('the signal of a lock that is lost aborts for its own holder', async () => {
    const pool = testPool(database.url, { max: 3 })
    const lock = await request.run('holder', () => pool.acquireLock('held'))
    request.run('holder', () => lock.signal.addEventListener('abort', () => note('abort')))
    await request.run('killer', () =>
      pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`),
    )
    await eventually('it is lost', () => lock.signal.aborted)
    expectOnly('abort', 'holder', undefined)
  })

  test('who is turned away, and who ends the pool, are no context for what is said of others', async () => {
    const pool = await opened({ maxWaiting: 1 })
    for (const name of ['turned-away', 'timeout', 'close'] as const) pool.on(name, () => note(name))
    const held = await request.run('holder', () => pool.acquire())
    const waiting = request.run('asker', () => rejection(pool.query('select 1')))
    await eventually('it waits', () => pool.stats().waits.waiting === 1)
    await request.run('beside', () => rejection(pool.query('select 1')))
    await request.run('ender', () => pool.end({ mode: 'fast' }))
    await waiting
    held.release()
    for (const what of ['turned-away', 'close']) expectOnly(what, undefined)
  })

  test('a server that is away is told of in no context', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    for (const name of ['connect-failed', 'breaker', 'timeout', 'connect'] as const) pool.on(name, () => note(name))
    await proxy.refuse()
    await request.run('asker', () => rejection(pool.query('select 1', [], { timeoutMs: 200 })))
    await proxy.accept()
    await request.run('later', () => pool.query('select 1'))
    for (const what of ['connect-failed', 'connect']) expectOnly(what, undefined)
  })
})
