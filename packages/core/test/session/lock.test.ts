import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'
import {
  advisoryLockKey,
  createPool,
  DeadlockError,
  InvalidOptionError,
  type LockHandle,
  LockLostError,
  LockTimeoutError,
  type Pool,
} from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

let watcher: Pool | undefined
afterAll(() => watcher?.end())

/** What a lock test must leave behind: nothing. */
async function heldLocks(): Promise<number> {
  watcher ??= createPool({ connectionString: database.url, max: 1 })
  const { rows } = await watcher.query<{ n: number }>(
    "select count(*)::int as n from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
  )
  return rows[0]?.n ?? -1
}

afterEach(async () => {
  await eventually('no lock is left', async () => (await heldLocks()) === 0)
})

test('holds the documented key in pg_locks while the callback runs, and gives it back', async () => {
  const pool = testPool(database.url)
  const key = advisoryLockKey('invoice:42')
  await pool.withLock('invoice:42', async () => {
    const { rows } = await pool.query(
      "select (classid::bigint << 32) | objid::bigint as key, mode from pg_locks where locktype = 'advisory' and granted and objsubid = 1",
    )
    expect(rows).toEqual([{ key: String(key), mode: 'ExclusiveLock' }])
  })
  expect(await heldLocks()).toBe(0)
})

test('lets one holder in at a time, inside a process and across pools', async () => {
  const pools = [testPool(database.url), testPool(database.url)]
  let inside = 0
  let most = 0
  const work = Array.from({ length: 40 }, (_, i) =>
    pools[i % 2]?.withLock('one', async () => {
      inside += 1
      most = Math.max(most, inside)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
    }),
  )
  await Promise.all(work)
  expect(most).toBe(1)
})

test('a hundred callers for one lock do not take the connections that the holder works with', async () => {
  const pool = testPool(database.url, { max: 2 })
  let sum = 0
  await Promise.all(
    Array.from({ length: 100 }, () =>
      pool.withLock('busy', async () => {
        const { rows } = await pool.query<{ one: number }>('select 1 as one')
        sum += rows[0]?.one ?? 0
      }),
    ),
  )
  expect(sum).toBe(100)
})

test('fencing tokens grow with every grant', async () => {
  const pool = testPool(database.url)
  const tokens: bigint[] = []
  for (let i = 0; i < 5; i++) {
    await pool.withLock('fenced', async ({ fencingToken }) => {
      expect(fencingToken.timeline).toBe(1)
      tokens.push(fencingToken.xid)
    })
  }
  expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)))
  expect(new Set(tokens).size).toBe(5)
})

test('is taken and given back in one round trip each', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 1 })
  await pool.query('select 1')
  const trips = async (): Promise<number> => {
    const { messages } = await proxy.stats()
    return (messages.toServer['Sync'] ?? 0) + (messages.toServer['Query'] ?? 0)
  }
  const before = await trips()
  await pool.withLock(['a', 'b', 'c'], async () => undefined, { waitMs: 1_000 })
  expect(await trips()).toBe(before + 2)
})

test('is not taken again inside of itself', async () => {
  const pool = testPool(database.url, { max: 1 })
  const inner = await pool.withLock('again', (outer) => pool.withLock('again', async (same) => same === outer))
  expect(inner).toBe(true)
})

test('a shared lock is held together, and keeps an exclusive one out', async () => {
  const pool = testPool(database.url)
  await pool.withLock(
    'read',
    () => testPool(database.url).withLock('read', async () => undefined, { mode: 'shared', waitMs: 500 }),
    { mode: 'shared' },
  )
  const other = testPool(database.url)
  await pool.withLock(
    'read',
    async () => {
      expect(await rejection(other.withLock('read', async () => undefined, { waitMs: 20 }))).toBeInstanceOf(
        LockTimeoutError,
      )
      expect(await rejection(pool.withLock('read', async () => undefined))).toBeInstanceOf(InvalidOptionError)
    },
    { mode: 'shared' },
  )
})

test('waits no longer than waitMs, for holders in this process and in others', async () => {
  const pool = testPool(database.url)
  const other = testPool(database.url)
  await pool.withLock('taken', async () => {
    for (const waiting of [other, pool]) {
      for (const waitMs of [0, 30]) {
        const error = await rejection(waiting.outsideTransaction(() => waitOutside(waiting, waitMs)))
        expect(error).toBeInstanceOf(LockTimeoutError)
        expect(error.message).toContain('"taken"')
      }
    }
  })
  function waitOutside(waiting: typeof pool, waitMs: number): Promise<unknown> {
    // Another line of work, which does not hold the lock.
    return waiting === pool
      ? elsewhere(() => pool.withLock('taken', async () => undefined, { waitMs }))
      : waiting.withLock('taken', async () => undefined, { waitMs })
  }
})

test('waiting can be aborted, and the connection comes back clean', async () => {
  const pool = testPool(database.url, { max: 2 })
  const other = testPool(database.url)
  await other.withLock('taken', async () => {
    const controller = new AbortController()
    const waiting = rejection(pool.withLock('taken', async () => undefined, { signal: controller.signal }))
    await eventually('it waits on the server', async () => {
      const { rows } = await other.query("select 1 from pg_locks where locktype = 'advisory' and not granted")
      return rows.length === 1
    })
    controller.abort()
    expect((await waiting).name).toBe('AbortError')
    await eventually('the connection is back', () => pool.stats().active === 0)
  })
  expect(pool.stats().closed).toBe(0)
})

test('several locks in opposite orders cannot deadlock', async () => {
  const pools = [testPool(database.url), testPool(database.url)]
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      pools[i % 2]?.withLock(i % 4 < 2 ? ['x', 'y', 'z'] : ['z', 'y', 'x'], async () => undefined),
    ),
  )
})

test('nested locks in opposite orders are a DeadlockError, never a hang', async () => {
  const [a, b] = [
    testPool(database.url, { settings: { deadlock_timeout: '20ms' } }),
    testPool(database.url, { settings: { deadlock_timeout: '20ms' } }),
  ]
  const both = Promise.withResolvers<void>()
  let entered = 0
  const cross = (pool: typeof a, first: string, second: string): Promise<unknown> =>
    pool.withLock(first, async () => {
      entered += 1
      if (entered === 2) both.resolve()
      await both.promise
      // On the session that holds the first, the server can see the cycle; over two sessions waitMs ends it.
      await pool.withLock(second, async () => undefined, { waitMs: 200 })
    })
  const outcomes = await Promise.allSettled([cross(a, 'p', 'q'), cross(b, 'q', 'p')])
  const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(reasons.length).toBeGreaterThan(0)
  for (const reason of reasons) expect(reason instanceof DeadlockError || reason instanceof LockTimeoutError).toBe(true)
})

test('a holder whose backend is killed is told at once by its signal, and by the rejection', async () => {
  const pool = testPool(database.url)
  const admin = testPool(database.url)
  let handle: LockHandle | undefined
  const error = await rejection(
    pool.withLock('lost', async (lock) => {
      handle = lock
      const { rows } = await admin.query<{ pid: number }>(
        "select pid from pg_locks where locktype = 'advisory' and granted",
      )
      const aborted = new Promise((resolve) => lock.signal.addEventListener('abort', resolve))
      await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
      await aborted
      return 'done nevertheless'
    }),
  )
  expect(error).toBeInstanceOf(LockLostError)
  expect(error).toMatchObject({
    code: 'LIFEGUARD_LOCK_LOST',
    outcome: { status: 'fulfilled', value: 'done nevertheless' },
  })
  expect(handle?.signal.reason).toBe(error)
  expect(error.message).toContain('"lost"')
})

test('what the callback throws is thrown, and the lock given back', async () => {
  const pool = testPool(database.url)
  const mine = new Error('mine')
  expect(
    await rejection(
      pool.withLock('k', async () => {
        throw mine
      }),
    ),
  ).toBe(mine)
  expect(await heldLocks()).toBe(0)
  expect(pool.stats().closed).toBe(0)
})

test('at its deadline the caller is answered, and the lock is kept until the callback has ended', async () => {
  const pool = testPool(database.url)
  const release = Promise.withResolvers<void>()
  let seen: unknown
  const error = await rejection(
    pool.withLock(
      'late',
      async ({ signal }) => {
        signal.addEventListener('abort', () => {
          seen = signal.reason
        })
        await release.promise
      },
      { timeoutMs: 50 },
    ),
  )
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  expect(seen).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  expect(await heldLocks()).toBe(1)
  release.resolve()
  await eventually('the lock is back', async () => (await heldLocks()) === 0)
  expect(pool.stats().closed).toBe(0)
})

test('works inside a transaction of the same pool, on a session of its own', async () => {
  const pool = testPool(database.url, { max: 2 })
  await pool.withTransaction(async (tx) => {
    await tx.query('select 1')
    await pool.withLock('inner', async () => {
      const { rows } = await pool.query<{ n: number }>(
        'select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = $1',
        ['advisory'],
      )
      expect(rows[0]?.n).toBe(0)
    })
  })
})

test('branches side by side inside of it are no deadlock: each can finish without the others', async () => {
  const pool = testPool(database.url, { max: 2 })
  await pool.withLock('k', () =>
    Promise.all([1, 2, 3].map(() => pool.withTransaction((tx) => tx.query('select pg_sleep(0.01)')))),
  )
})

/** Runs `fn` outside of every ambient context, as another request of the same process would. */
async function elsewhere<T>(fn: () => Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    outside.push(() => void fn().then(resolve, reject))
  })
}

const outside: (() => void)[] = []
const pump = setInterval(() => {
  for (const run of outside.splice(0)) run()
}, 1)
pump.unref()
