import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import {
  ConnectionReleasedError,
  DeadlockError,
  type Lock,
  LockLostError,
  type LockOptions,
  LockTimeoutError,
} from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table written (n int)' })
const watcher = watchLocks(database)

/** One session for all locks of the pool. */
const oneSession = { max: 6, locks: { maxConnections: 1 } } as const

describe('sharing', () => {
  test('a lock that is shared twice in a process is one lock to the server, and the heartbeat knows it', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.url, { ...oneSession, locks: { maxConnections: 1, heartbeatMs: 250 } })
    await using one = await pool.acquireLock('k', { mode: 'shared' })
    await using two = await pool.acquireLock('k', { mode: 'shared' })
    const beats = async (): Promise<number> => (await proxy.stats()).messages.toServer['Sync'] ?? 0
    const before = await beats()
    await eventually('the heart has beaten three times', async () => (await beats()) >= before + 3)
    expect([one.signal.aborted, two.signal.aborted]).toEqual([false, false])
  })

  test('a pool of two holds two locks, and works under both', async () => {
    const pool = testPool(database.url, { max: 2 })
    await Promise.all(['a', 'b'].map((key) => pool.withLock(key, () => pool.query('select 1'))))
  })

  test('a pool of one waits for a lock with its connection, and no longer than waitMs', async () => {
    const other = await testPool(database.url).acquireLock('a')
    const pool = testPool(database.url, { max: 1 })
    const late = await rejection(pool.withLock('a', async () => undefined, { waitMs: 20 }))
    expect(late).toBeInstanceOf(LockTimeoutError)
    const entered = pool.withLock('a', async () => 'entered')
    await eventually('it waits on the server', async () => (await watcher.waiting()) === 1)
    await other.release()
    expect(await entered).toBe('entered')
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
  })

  test('half of the pool is left to other work, also when it has been resized', async () => {
    const pool = testPool(database.url, { max: 2, locks: { maxConnections: 3 } })
    const sessionsOfSix = async (): Promise<number> => {
      const locks = await Promise.all(Array.from({ length: 6 }, (_, n) => pool.acquireLock(`lock ${n}`)))
      const sessions = pool.stats().pool.active
      await Promise.all(locks.map((lock) => lock.release()))
      return sessions
    }
    const seen: number[] = []
    for (const max of [2, 4, 20, 3]) {
      pool.resize({ max })
      seen.push(await sessionsOfSix())
    }
    expect(seen).toEqual([1, 2, 3, 1])
  })

  test('locks that come and go at the same moment are each held by a session, and leave none', async () => {
    const pool = testPool(database.url, { max: 4, locks: { maxConnections: 1 } })
    const line = async (who: number): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await pool.withLock(`${who}`, async (lock) => {
          if (i % 10 !== 0) return
          const { rows } = await lock.withTransaction((tx) =>
            tx.query<{ n: number }>(
              'select count(*)::int as n from pg_locks where pid = pg_backend_pid() and objsubid = 1',
            ),
          )
          expect(rows[0]?.n).toBeGreaterThanOrEqual(1)
        })
        for (let wait = 0; wait < (i * 7 + who) % 4; wait++) await undefined
      }
    }
    await Promise.all([1, 2, 3].map(line))
    expect(pool.stats().pool.active).toBe(0)
  })

  test('a thousand locks and as many queries do not get in each other’s way', async () => {
    const pool = testPool(database.url, { max: 8 })
    const all = Promise.withResolvers<void>()
    const counted = Promise.withResolvers<void>()
    let inside = 0
    const locks = Array.from({ length: 1_000 }, (_, i) =>
      pool.withLock(`lock ${i}`, async () => {
        inside += 1
        if (inside === 1_000) all.resolve()
        await counted.promise
      }),
    )
    const queries = Array.from({ length: 500 }, () => pool.withTransaction((tx) => tx.query('select 1')))
    await all.promise
    expect(await watcher.held()).toBe(1_000)
    counted.resolve()
    await Promise.all([...locks, ...queries])
    // A sign of life may still be under way.
    await eventually('all sessions are back', () => pool.stats().pool.active === 0)
  })

  test('locks that share sessions take two round trips each, however many they are', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.url, { max: 4, locks: { maxConnections: 2 } })
    await pool.withLock('warm', async () => undefined)
    const syncs = async (): Promise<number> => (await proxy.stats()).messages.toServer['Sync'] ?? 0
    const before = await syncs()
    await Promise.all(Array.from({ length: 100 }, (_, i) => pool.withLock(`k${i}`, async () => undefined)))
    expect(await syncs()).toBe(before + 200)
  })
})

test('a lock of a transaction takes one round trip, with BEGIN in it, and is given back by COMMIT', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 2 })
  await pool.query('select 1')
  const trips = async (work: () => Promise<unknown>): Promise<number> => {
    const count = async (): Promise<number> => {
      const { toServer } = (await proxy.stats()).messages
      return (toServer['Sync'] ?? 0) + (toServer['Query'] ?? 0)
    }
    const before = await count()
    await work()
    return (await count()) - before
  }
  const lock = (): Promise<unknown> =>
    pool.withLock(['a', 'b'], async () => undefined, { scope: 'transaction', waitMs: 500 })
  const plain = await trips(() => pool.withTransaction((tx) => tx.query('select 1')))
  expect(await trips(lock)).toBe(2)
  const both = await trips(() => pool.withTransaction((tx) => tx.query('select 1').then(lock)))
  expect(both).toBe(plain + 1)
})

describe('a transaction of the lock', () => {
  test('can be taken out of the handle', async () => {
    const pool = testPool(database.url)
    const value = await pool.withLock('k', ({ withTransaction }) => withTransaction(async () => 'value'))
    expect(value).toBe('value')
  })

  test('is refused once the lock was given back', async () => {
    const pool = testPool(database.url)
    const lock = await pool.acquireLock('k')
    await lock.release()
    expect(await rejection(lock.withTransaction(async () => undefined))).toBeInstanceOf(ConnectionReleasedError)
  })

  test('inside of itself is a savepoint, and outside of it a deadlock that is told', async () => {
    const pool = testPool(database.url)
    await pool.withLock('k', (lock) =>
      lock.withTransaction(async () => {
        await lock.withTransaction((inner) => inner.query('select 1'))
        const outside = pool.outsideTransaction(() => lock.withTransaction(async () => undefined))
        expect(await rejection(outside)).toBeInstanceOf(DeadlockError)
      }),
    )
  })

  test.each<LockOptions>([{}, { scope: 'transaction' }])(
    'cannot wait for a lock that its own session holds for somebody else, nor be given it: %o',
    async (options) => {
      const pool = testPool(database.url, oneSession)
      await using _ = await pool.acquireLock('b')
      const error = await pool.withLock('a', (lock) =>
        lock.withTransaction(() => rejection(pool.withLock('b', async () => undefined, options))),
      )
      expect(error).toBeInstanceOf(DeadlockError)
    },
  )

  test('does not keep other locks of its session from being asked for, or from going on', async () => {
    const pool = testPool(database.url, oneSession)
    const other = await pool.acquireLock('other')
    await pool.withLock('a', (lock) =>
      lock.withTransaction(async () => {
        await pool.withLock('free', async () => undefined)
        await other.release() // does not wait for this transaction
        expect(await watcher.held()).toBe(2)
      }),
    )
    await eventually('it was given back behind the transaction', async () => (await watcher.held()) === 0)
  })
})

describe('a session that is lost', () => {
  test('while the lock is waited for costs a new try, and not the lock', async () => {
    const pool = testPool(database.url, { name: 'waits' })
    const holding = await testPool(database.url).acquireLock('k')
    const waiting = pool.withLock('k', async () => 'got it')
    await eventually('it waits', async () => (await watcher.waiting()) === 1)
    await watcher.pool.query(
      "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted",
    )
    await eventually('it waits again', async () => (await watcher.waiting()) === 1)
    await holding.release()
    expect(await waiting).toBe('got it')
  })

  test('because the pool tore it down is told at once, and not by the heartbeat', async () => {
    const pool = testPool(database.url, { locks: { heartbeatMs: 60_000 } })
    const lock = await pool.acquireLock('k')
    const aborted = new Promise<unknown>((resolve) =>
      lock.signal.addEventListener('abort', () => resolve(lock.signal.reason)),
    )
    await pool.end({ timeoutMs: 0 })
    expect(await aborted).toBeInstanceOf(LockLostError)
    expect(await rejection(lock.release())).toBeInstanceOf(LockLostError)
  })

  test.each(['between two statements of its transaction', 'under a statement of its transaction', 'at the unlock'])(
    'to a silent partition %s is noticed by the heartbeat',
    async (when) => {
      await using proxy = await startFaultProxy({ target: database.url })
      const pool = testPool(proxy.url, { max: 3, connectTimeoutMs: 1_000, locks: { heartbeatMs: 60 } })
      const lock = await pool.acquireLock('k')
      const aborted = new Promise<void>((resolve) => lock.signal.addEventListener('abort', () => resolve()))
      const begun = Promise.withResolvers<void>()
      const work =
        when === 'at the unlock'
          ? undefined
          : lock
              .withTransaction(
                async (tx) => {
                  await tx.query('select 1')
                  await proxy.stall()
                  begun.resolve()
                  if (when.startsWith('between')) await aborted
                  await tx.query('select 2')
                },
                { retry: false },
              )
              .catch((error: unknown) => error)
      if (work === undefined) await proxy.stall()
      else await begun.promise
      if (work === undefined) expect(await rejection(lock.release())).toBeInstanceOf(LockLostError)
      await aborted
      expect(lock.signal.reason).toBeInstanceOf(LockLostError)
      await proxy.resume()
      if (work !== undefined) expect(await work).toBeInstanceOf(Error)
      await eventually('all is back', () => pool.stats().pool.active === 0)
    },
  )
})

test('options of the pool about statements do not cut a wait short, and several keys share one waitMs', async () => {
  const pool = testPool(database.url, { statementTimeoutMs: 40, settings: { lock_timeout: '40ms' } })
  const others = testPool(database.url)
  const [a, b]: Lock[] = [await others.acquireLock(['1']), await others.acquireLock(['2'])]
  // Before the others begin: a pool that takes its first lock makes a test of its own before.
  const first = (await others.listLocks()).filter(({ granted }) => granted)
  expect(first).toHaveLength(2)
  const patient = pool.withLock(['1', '2'], async () => 'patient')
  const hasty = rejection(testPool(database.url).withLock(['1', '2'], async () => undefined, { waitMs: 1_500 }))
  await eventually('both have waited for a while', async () => {
    const waits = (await others.listLocks()).filter(({ granted }) => !granted)
    return waits.length === 2 && waits.every(({ waitingMs }) => (waitingMs ?? 0) > 700)
  })
  const [low] = first
  await (low?.name === '1' ? a : b)?.release()
  const error = await hasty
  expect(error).toMatchObject({ code: 'LIFEGUARD_LOCK_TIMEOUT' })
  expect((error as unknown as { waitedMs: number }).waitedMs).toBeLessThan(2_150)
  await Promise.all([a?.release(), b?.release()])
  expect(await patient).toBe('patient')
})

test('timeoutMs of acquireLock is about getting the lock, not about having it', async () => {
  const pool = testPool(database.url)
  await pool.withLock('warm up: the self-test is made once', async () => undefined)
  await using lock = await pool.acquireLock('k', { timeoutMs: 500 })
  const until = performance.now() + 550
  await eventually('that time is over', () => performance.now() > until)
  expect(lock.signal.aborted).toBe(false)
})

test('what the callback throws keeps its stack', async () => {
  const pool = testPool(database.url)
  const mine = new Error('mine')
  const { stack } = mine
  await rejection(pool.withLock('k', () => Promise.reject(mine)))
  await rejection(pool.withSemaphore('k', 2, () => Promise.reject(mine)))
  expect(mine.stack).toBe(stack)
})

describe('an election', () => {
  test('is not led any more by one whose lock is lost, whatever its callback does, and survives a bad listener', async () => {
    const pool = testPool(database.url)
    const release = Promise.withResolvers<void>()
    let terms = 0
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listen)
    await using candidacy = pool.elect(
      'lead',
      async () => {
        terms += 1
        await release.promise
      },
      {
        onError: () => {
          throw new Error('a bad listener')
        },
      },
    )
    await eventually('it leads', () => candidacy.isLeader)
    await watcher.pool.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
    await eventually('it does not lead', () => !candidacy.isLeader)
    release.resolve()
    await eventually('it leads again', () => terms > 1)
    await eventually('the listener was told of', () => warnings.some(({ message }) => message === 'a bad listener'))
    process.off('warning', listen)
  })

  test('is stopped cleanly at whatever moment', async () => {
    const pools = [testPool(database.url), testPool(database.url)]
    for (let turns = 0; turns < 12; turns++) {
      const candidacies = pools.map((pool) =>
        pool.elect(
          'lead',
          ({ signal }) =>
            new Promise<void>((resolve) => {
              if (signal.aborted) resolve()
              else signal.addEventListener('abort', () => resolve())
            }),
        ),
      )
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      await Promise.all(candidacies.map((candidacy) => candidacy.stop()))
      await eventually('nothing is left', () => pools.every((pool) => pool.stats().pool.active === 0))
    }
  })
})
