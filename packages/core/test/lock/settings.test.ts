import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LockHandle, LockTimeoutError, type Pool } from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { onServer } from '../support/test-cluster.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const watcher = watchLocks(database)

/** Every time that the server has for sessions, statements and transactions; each far below a wait of the tests. */
const short = {
  statement_timeout: '700ms',
  lock_timeout: '700ms',
  transaction_timeout: '700ms',
  idle_in_transaction_session_timeout: '700ms',
  idle_session_timeout: '700ms',
}
/** Longer than all of them, as the server counts. */
const past = async (): Promise<void> => void (await watcher.pool.query('select pg_sleep(1.7)'))

const role = `waits_${process.pid}`
const asRole = (): string => Object.assign(new URL(database.url), { username: role, password: 'x' }).href
const set = Object.entries(short).map(([name, value]) => `${name} = '${value}'`)

/** Where the settings come from. */
const sources: readonly (readonly [string, (max?: number) => Pool])[] = [
  ['with settings of the pool', (max = 5) => testPool(database.url, { max, settings: short })],
  [
    'with options in the URL',
    (max = 5) => {
      const switches = Object.entries(short).map(([name, value]) => `-c ${name}=${value}`)
      return testPool(`${database.url}?options=${encodeURIComponent(switches.join(' '))}`, { max })
    },
  ],
  ['with settings of role and database', (max = 5) => testPool(asRole(), { max })],
]

beforeAll(async () => {
  const name = pg.escapeIdentifier(new URL(database.url).pathname.slice(1))
  await onServer(database.url, `create role ${role} login password 'x'`)
  // Half of them each.
  for (const one of set.slice(0, 2)) await onServer(database.url, `alter role ${role} set ${one}`)
  for (const one of set.slice(2)) await onServer(database.url, `alter role ${role} in database ${name} set ${one}`)
})
afterAll(async () => {
  await onServer(database.url, `drop role ${role}`)
})

type Waiting = (pool: Pool, key: string, fn: (lock: LockHandle) => Promise<string>) => Promise<string>

const ways: readonly [string, Waiting][] = [
  ['a session', (pool, key, fn) => pool.withLock(key, fn)],
  ['a session, shared', (pool, key, fn) => pool.withLock(key, fn, { mode: 'shared' })],
  ['a session, with a bound', (pool, key, fn) => pool.withLock(key, fn, { waitMs: 60_000, timeoutMs: 60_000 })],
  ['a session, several keys', (pool, key, fn) => pool.withLock([key, `${key} 2`, `${key} 3`], fn)],
  [
    'a session, several keys with a bound',
    (pool, key, fn) => pool.withLock([key, `${key} 2`, `${key} 3`], fn, { waitMs: 60_000 }),
  ],
  ['a transaction', (pool, key, fn) => pool.withLock(key, fn, { scope: 'transaction' })],
  ['a transaction, shared', (pool, key, fn) => pool.withLock(key, fn, { scope: 'transaction', mode: 'shared' })],
  [
    'a transaction, several keys with a bound',
    (pool, key, fn) => pool.withLock([key, `${key} 2`], fn, { scope: 'transaction', waitMs: 60_000 }),
  ],
  [
    'a transaction that is open',
    (pool, key, fn) => pool.withTransaction(async () => await pool.withLock(key, fn, { scope: 'transaction' })),
  ],
  [
    'the locks of a transaction',
    (pool, key, fn) =>
      pool.withTransaction(
        async (tx) => {
          await tx.query('select 1')
          return await fn(undefined as never)
        },
        { locks: key },
      ),
  ],
  [
    'a lock by hand',
    async (pool, key, fn) => {
      await using lock = await pool.acquireLock(key)
      return await fn(lock)
    },
  ],
  ['migrations', (pool, key, fn) => pool.withMigrationLock(fn, { name: key })],
  [
    'a leader',
    async (pool, key, fn) => {
      const led = Promise.withResolvers<string>()
      await using _ = pool.elect(key, async (term) => led.resolve(await fn(term)), { onError: led.reject })
      return await led.promise
    },
  ],
]

describe('a wait is cut short by its own bounds alone', () => {
  describe.each(sources)('%s', (_source, poolOf) => {
    test('every way to wait for a lock', async () => {
      const holder = testPool(database.url)
      const locks = await Promise.all(ways.map(([way]) => holder.acquireLock(way)))
      const pool = poolOf(ways.length)
      const all = Promise.allSettled(ways.map(([way, waiting]) => waiting(pool, way, async () => `entered: ${way}`)))
      await eventually('each has a connection', () => pool.stats().pool.active === ways.length)
      await past()
      await Promise.all(locks.map((lock) => lock.release()))
      expect((await all).map((one) => (one.status === 'fulfilled' ? one.value : one.reason))).toEqual(
        ways.map(([way]) => `entered: ${way}`),
      )
    })

    test('nested in other locks and in a transaction, of which each waits', async () => {
      const locks = await Promise.all(['k', 'l'].map((key) => testPool(database.url).acquireLock(key)))
      const pool = poolOf()
      const entered = pool.withLock('k', () =>
        pool.withTransaction(() => pool.withLock('l', async () => 'entered', { scope: 'transaction' })),
      )
      entered.catch(() => undefined)
      for (const lock of locks) {
        await past()
        await lock.release()
      }
      expect(await entered).toBe('entered')
    })

    test('waitMs and timeoutMs do cut each of them short', async () => {
      await using _lock = await testPool(database.url).acquireLock('k')
      const pool = poolOf()
      for (const scope of ['session', 'transaction'] as const) {
        const late = await rejection(pool.withLock(['k', 'z'], async () => undefined, { scope, waitMs: 1_000 }))
        expect(late).toBeInstanceOf(LockTimeoutError)
        const over = await rejection(pool.withLock('k', async () => undefined, { scope, timeoutMs: 1_000 }))
        expect(over).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
      }
      expect(
        await rejection(pool.withMigrationLock(async () => undefined, { name: 'k', waitMs: 1_000 })),
      ).toBeInstanceOf(LockTimeoutError)
      expect(await pool.tryWithLock('k', async () => undefined)).toEqual({ acquired: false })
    })
  })

  test('a place of a semaphore', async () => {
    const other = testPool(database.url)
    const release = Promise.withResolvers<void>()
    const inside = Promise.withResolvers<void>()
    const held = other.withSemaphore('s', 1, async () => {
      inside.resolve()
      await release.promise
    })
    await inside.promise
    const pool = testPool(database.url, { settings: short })
    const entered = pool.withSemaphore('s', 1, async () => 'entered')
    await past()
    release.resolve()
    expect(await entered).toBe('entered')
    await held
  })

  test('a place of a semaphore with several, of which all are taken', async () => {
    const others = [testPool(database.url), testPool(database.url)]
    const release = Promise.withResolvers<void>()
    let inside = 0
    const held = others.map((other) =>
      other.withSemaphore('m', 2, async () => {
        inside += 1
        await release.promise
      }),
    )
    await eventually('both are in', () => inside === 2)
    const entered = testPool(database.url, { settings: short }).withSemaphore('m', 2, async () => 'entered')
    entered.catch(() => undefined)
    await past()
    await past()
    release.resolve()
    expect(await entered).toBe('entered')
    await Promise.all(held)
  })

  test('whatever the role and the database say', async () => {
    const role = `waits_too_${process.pid}`
    const name = new URL(database.url).pathname.slice(1)
    const url = new URL(database.url)
    url.username = role
    url.password = 'x'
    await watcher.pool.query(`create role ${role} login password 'x'`)
    try {
      await watcher.pool.query(`alter role ${role} set statement_timeout = '700ms'`)
      await watcher.pool.query(`alter role ${role} set transaction_timeout = '700ms'`)
      await watcher.pool.query(`alter database ${name} set lock_timeout = '700ms'`)
      const lock = await testPool(database.url).acquireLock('k')
      const pool = testPool(url.href)
      const entered = Promise.all([
        pool.withLock('k', async () => undefined, { scope: 'transaction' }),
        pool.withLock('k', async () => undefined),
      ])
      await past()
      await lock.release()
      await entered
      await pool.end()
    } finally {
      await watcher.pool.query(`alter database ${name} reset all`)
      await watcher.pool.query(`drop role ${role}`)
    }
  })

  test('waitMs and timeoutMs do cut it short, and the transaction around it goes on', async () => {
    await using _ = await testPool(database.url).acquireLock('k')
    const pool = testPool(database.url, { settings: short })
    for (const scope of ['session', 'transaction'] as const) {
      const late = await rejection(pool.withLock('k', async () => undefined, { scope, waitMs: 50 }))
      expect(late).toBeInstanceOf(LockTimeoutError)
      const over = await rejection(pool.withLock('k', async () => undefined, { scope, timeoutMs: 50 }))
      expect(over).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    }
    const calm = testPool(database.url)
    await calm.withTransaction(async (tx) => {
      await rejection(calm.withLock('k', async () => undefined, { scope: 'transaction', waitMs: 50 }))
      expect((await tx.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    })
  })
})

describe('what a transaction has set for its statements', () => {
  const options = { statementTimeoutMs: 200, lockTimeoutMs: 210, settings: { transaction_timeout: '60s' } }
  const settings = `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
    current_setting('transaction_timeout') as transaction`
  const own = [{ statement: '200ms', lock: '210ms', transaction: '1min' }]

  test('holds for them, and not for the wait', async () => {
    const lock = await testPool(database.url).acquireLock('k')
    const pool = testPool(database.url)
    const done = pool.withTransaction(async (tx) => {
      expect((await tx.query(settings)).rows).toEqual(own)
      return await pool
        .withLock(
          'k',
          async () => {
            expect((await tx.query(settings)).rows).toEqual(own)
            return await rejection(tx.query('select pg_sleep(30)'))
          },
          { scope: 'transaction' },
        )
        .catch((error: unknown) => error)
    }, options)
    done.catch(() => undefined)
    await past()
    await lock.release()
    await rejection(done)
  })

  test('holds for them behind a wait that was in vain, the time of the transaction too', async () => {
    await using _ = await testPool(database.url).acquireLock('k')
    const pool = testPool(database.url)
    const lost = pool.withTransaction(
      async (tx) => {
        await rejection(pool.withLock('k', async () => undefined, { scope: 'transaction', waitMs: 300 }))
        expect((await tx.query(settings)).rows).toEqual([{ ...own[0], transaction: '250ms' }])
        await eventually('the server ends the transaction', () => rejection(tx.query('select 1')).catch(() => false))
      },
      { ...options, settings: { transaction_timeout: '250ms' }, retry: false },
    )
    await rejection(lost)
  })

  test('counts from the beginning of the transaction, where there was no wait for a lock', async () => {
    const pool = testPool(database.url)
    const error = await rejection(
      pool.withTransaction(async (tx) => await tx.query('select pg_sleep(30)'), {
        settings: { transaction_timeout: '100ms' },
        retry: false,
      }),
    )
    expect(error).toMatchObject({ code: '25P04' })
  })
})

describe('who holds a lock may idle', () => {
  test.each(['session', 'transaction'] as const)('in scope %s', async (scope) => {
    const { transaction_timeout: _, ...idle } = short
    const pool = testPool(database.url, { max: 2, settings: idle, locks: { heartbeatMs: 100_000 } })
    const outcome = await pool.withLock(
      'k',
      async ({ signal }) => {
        await past()
        expect(await watcher.held()).toBe(1)
        return signal.aborted
      },
      { scope },
    )
    expect(outcome).toBe(false)
  })

  test('in a transaction on the session of the lock, unless it says how long', async () => {
    const { transaction_timeout: _, ...idle } = short
    const pool = testPool(database.url, { max: 2, settings: idle })
    await pool.withLock('k', async (lock) => {
      await lock.withTransaction(async (tx) => {
        await tx.query('select 1')
        await past()
        await tx.query('select 1')
      })
      expect(lock.signal.aborted).toBe(false)
    })
    const bounded = pool.withLock('k', async (lock) => {
      await lock.withTransaction(
        async (tx) => {
          await tx.query('select 1')
          await past()
          await tx.query('select 1')
        },
        { idleTimeoutMs: 100, retry: false },
      )
    })
    expect(await rejection(bounded)).toBeInstanceOf(Error)
  })

  test('and whoever has the connection next finds it as it was', async () => {
    const pool = testPool(database.url, { max: 1, settings: { idle_session_timeout: '100s', lock_timeout: '7s' } })
    const seen = async (): Promise<unknown> =>
      (
        await pool.query(
          "select current_setting('idle_session_timeout') as idle, current_setting('lock_timeout') as lock",
        )
      ).rows
    await pool.withLock('k', async () => undefined)
    expect(await seen()).toEqual([{ idle: '100s', lock: '7s' }])
    await pool.withLock('k', async () => undefined, { scope: 'transaction', waitMs: 500 })
    await pool.withMigrationLock(async () => undefined)
    const other = await testPool(database.url).acquireLock('k')
    expect(await pool.tryWithLock('k', async () => undefined)).toEqual({ acquired: false })
    await rejection(pool.withLock('k', async () => undefined, { waitMs: 20 }))
    await rejection(pool.withMigrationLock(async () => undefined, { name: 'k', waitMs: 20 }))
    await other.release()
    expect(await seen()).toEqual([{ idle: '100s', lock: '7s' }])
    expect((await pool.query('select pg_listening_channels() as channel')).rows).toEqual([])
  })
})
