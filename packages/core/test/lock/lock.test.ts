import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import {
  advisoryLockKey,
  DeadlockError,
  InvalidArgumentError,
  type LockHandle,
  LockLostError,
  LockTimeoutError,
  type Pool,
} from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

const watcher = watchLocks(database)
const heldLocks = (): Promise<number> => watcher.held()

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
  await pool.withLock('warm up: the self-test is made once', async () => undefined)
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
      expect(await rejection(pool.withLock('read', async () => undefined))).toBeInstanceOf(InvalidArgumentError)
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
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
  })
  expect(pool.stats().pool.closed).toBe(0)
})

test('several locks in opposite orders cannot deadlock', async () => {
  const pools = [testPool(database.url), testPool(database.url)]
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      pools[i % 2]?.withLock(i % 4 < 2 ? ['x', 'y', 'z'] : ['z', 'y', 'x'], async () => undefined),
    ),
  )
})

test('nested locks in opposite orders are a DeadlockError for one of them, across processes', async () => {
  const pools = [testPool(database.url), testPool(database.url)] as const
  const both = Promise.withResolvers<void>()
  let entered = 0
  const cross = (pool: Pool, first: string, second: string): Promise<unknown> =>
    pool.withLock(first, async () => {
      entered += 1
      if (entered === 2) both.resolve()
      await both.promise
      await pool.withLock(second, async () => undefined)
    })
  const outcomes = await Promise.allSettled([cross(pools[0], 'p', 'q'), cross(pools[1], 'q', 'p')])
  const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(reasons).toHaveLength(1)
  expect(reasons[0]).toBeInstanceOf(DeadlockError)
})

test('nested locks in opposite orders inside one process are found at once', async () => {
  const pool = testPool(database.url)
  const both = Promise.withResolvers<void>()
  let entered = 0
  const cross = (first: string, second: string): Promise<unknown> =>
    pool.withLock(first, async () => {
      entered += 1
      if (entered === 2) both.resolve()
      await both.promise
      await pool.withLock(second, async () => undefined)
    })
  const outcomes = await Promise.allSettled([cross('p', 'q'), cross('q', 'p')])
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
})

test('a thousand locks are held at once on four connections', async () => {
  const pool = testPool(database.url, { max: 10 })
  const all = Promise.withResolvers<void>()
  let inside = 0
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      pool.withLock(`lock ${i}`, async () => {
        inside += 1
        if (inside === 1_000) {
          expect(pool.stats().pool.active).toBeLessThanOrEqual(4)
          expect(await heldLocks()).toBe(1_000)
          all.resolve()
        }
        await all.promise
      }),
    ),
  )
  await eventually('the sessions are given back', () => pool.stats().pool.active === 0)
})

test('tryWithLock does not wait, and tells a taken lock from a failing callback', async () => {
  const pool = testPool(database.url)
  const other = testPool(database.url)
  expect(await pool.tryWithLock('k', async () => 'value')).toEqual({ acquired: true, value: 'value' })
  await other.withLock('k', async () => {
    expect(await pool.tryWithLock('k', async () => 'value')).toEqual({ acquired: false })
    expect(await pool.tryWithLock(['a', 'k', 'z'], async () => 'value')).toEqual({ acquired: false })
    expect(await heldLocks()).toBe(1)
    const inner = await rejection(
      pool.tryWithLock('free', () => pool.withLock('k', async () => undefined, { waitMs: 5 })),
    )
    expect(inner).toBeInstanceOf(LockTimeoutError)
  })
})

test('acquireLock holds until it is released, once', async () => {
  const pool = testPool(database.url)
  {
    await using lock = await pool.acquireLock(['a', 'b'], { waitMs: 100 })
    expect(lock.signal.aborted).toBe(false)
    expect(await heldLocks()).toBe(2)
    expect(await pool.tryWithLock('a', async () => undefined)).toEqual({ acquired: false })
    await lock.release()
    expect(await heldLocks()).toBe(0)
  }
  expect((await pool.tryWithLock('a', async () => undefined)).acquired).toBe(true)
})

test('a transaction of the lock runs on the session that holds it, and is lost with it', async () => {
  const pool = testPool(database.url)
  const admin = testPool(database.url, { max: 1 })
  await admin.query('create table if not exists written (n int)')
  await pool.withLock('write', async (lock) => {
    const mine = await lock.withTransaction(async (tx) => {
      await pool.query('insert into written values (1)')
      return (
        await tx.query<{ held: number }>(
          "select count(*)::int as held from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'",
        )
      ).rows[0]?.held
    })
    expect(mine).toBe(1)
  })
  const lost = await rejection(
    pool.withLock('write', (lock) =>
      lock.withTransaction(
        async (tx) => {
          await tx.query('insert into written values (2)')
          const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
          await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
          await tx.query('select 1')
        },
        { retry: { attempts: 3 } },
      ),
    ),
  )
  expect(lost).toBeDefined()
  expect((await admin.query('select n from written')).rows).toEqual([{ n: 1 }])
  await admin.query('drop table written')
})

test('a lock of a transaction is held until the transaction ends, and a wait in vain leaves that usable', async () => {
  const pool = testPool(database.url)
  const other = testPool(database.url)
  await pool.withTransaction(async (tx) => {
    await tx.query("select set_config('lock_timeout', '7s', true)")
    await pool.withLock('k', async ({ fencingToken }) => expect(fencingToken.xid).toBeGreaterThan(0n), {
      scope: 'transaction',
      waitMs: 50,
    })
    expect(await other.tryWithLock('k', async () => undefined)).toEqual({ acquired: false })
    expect((await tx.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '7s' }])
    await other.withLock('taken', async () => {
      const error = await rejection(pool.withLock('taken', async () => undefined, { scope: 'transaction', waitMs: 20 }))
      expect(error).toBeInstanceOf(LockTimeoutError)
    })
    expect((await tx.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
  expect(await heldLocks()).toBe(0)
  await pool.withLock(
    'k',
    async () => {
      expect(pool.currentTransaction).toBeDefined()
      expect(await heldLocks()).toBe(1)
    },
    { scope: 'transaction' },
  )
})

test('a semaphore lets so many in and no more, over pools, and loses no place when a holder dies', async () => {
  const pools = [testPool(database.url, { max: 8 }), testPool(database.url, { max: 8 })] as const
  const admin = testPool(database.url, { max: 1 })
  let inside = 0
  let most = 0
  const work = (pool: Pool): Promise<void> =>
    pool.withSemaphore('export', 3, async () => {
      inside += 1
      most = Math.max(most, inside)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
    })
  await Promise.all(Array.from({ length: 30 }, (_, i) => work(pools[i % 2 === 0 ? 0 : 1])))
  expect(most).toBeLessThanOrEqual(3)
  await rejection(
    pools[0].withSemaphore('export', 1, async () => {
      await admin.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
    }),
  )
  await work(pools[1])
  const full = await rejection(
    pools[0].withSemaphore('export', 1, () =>
      pools[1].withSemaphore('export', 1, async () => undefined, { waitMs: 30 }),
    ),
  )
  expect(full).toBeInstanceOf(LockTimeoutError)
})

test('an election has one leader at a time, and a new one soon after the session of the old one ends', async () => {
  const pools = [testPool(database.url), testPool(database.url), testPool(database.url)]
  const admin = testPool(database.url, { max: 1 })
  const terms: { readonly who: number; readonly xid: bigint }[] = []
  let leading = 0
  const candidacies = pools.map((pool, who) =>
    pool.elect(
      'scheduler',
      async ({ signal, fencingToken }) => {
        leading += 1
        terms.push({ who, xid: fencingToken.xid })
        await new Promise<void>((resolve) =>
          signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve()),
        )
        leading -= 1
      },
      { onError: () => undefined },
    ),
  )
  for (let round = 1; round <= 4; round++) {
    await eventually(`leader ${round}`, () => terms.length === round)
    if (round < 4)
      await admin.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
  }
  // Who has lost the lock hears it from his own socket: on a busy machine after the next one has begun. Tokens tell.
  await eventually('one leads', () => leading === 1 && candidacies.filter(({ isLeader }) => isLeader).length === 1)
  const xids = terms.map(({ xid }) => xid)
  expect(xids).toEqual(xids.toSorted((a, b) => (a < b ? -1 : 1)))
  await Promise.all(candidacies.map((candidacy) => candidacy.stop()))
  expect(candidacies.some(({ isLeader }) => isLeader)).toBe(false)
})

test('locks() lists holders and waiters by the names that were hashed here', async () => {
  const pool = testPool(database.url, { name: 'lister' })
  const other = testPool(database.url, { name: 'waiter' })
  await pool.withLock('invoice:42', async () => {
    const waiting = other.withLock('invoice:42', async () => undefined)
    const listed = await eventually('one waits', async () => {
      const found = (await pool.listLocks()).filter(({ name }) => name === 'invoice:42')
      return found.length === 2 ? found : undefined
    })
    expect(
      listed.map(({ name, mode, granted, applicationName }) => ({ name, mode, granted, applicationName })),
    ).toEqual([
      { name: 'invoice:42', mode: 'exclusive', granted: true, applicationName: 'lister' },
      { name: 'invoice:42', mode: 'exclusive', granted: false, applicationName: 'waiter' },
    ])
    expect(listed[1]?.blockedBy).toEqual([listed[0]?.pid])
    expect(listed[0]?.key).toBe(String(advisoryLockKey('invoice:42')))
    void waiting
  })
  await eventually('all is given back', async () => (await heldLocks()) === 0)
})

test('a partition that says nothing is noticed by the heartbeat, and the signal aborts', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 2, locks: { heartbeatMs: 60 } })
  const error = await rejection(
    pool.withLock('silent', async ({ signal }) => {
      await proxy.stall()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    }),
  )
  expect(error).toBeInstanceOf(LockLostError)
  expect(error.message).toContain('sign of life')
  await proxy.resume()
  await eventually('all is back', () => pool.stats().pool.active === 0)
})

test('locks that mean nothing are refused, with what to do about it', async () => {
  const admin = testPool(database.url, { max: 1 })
  // Not in the search_path: what lies there the library does not find.
  await admin.query(`alter function pg_catalog.pg_try_advisory_lock(bigint) rename to real_try_advisory_lock;
    create function pg_catalog.pg_try_advisory_lock(bigint) returns boolean language sql as 'select true'`)
  const pool = testPool(database.url)
  const error = await rejection(pool.withLock('k', async () => undefined))
  await admin.query(`drop function pg_catalog.pg_try_advisory_lock(bigint);
    alter function pg_catalog.real_try_advisory_lock(bigint) rename to pg_try_advisory_lock`)
  expect(error).toMatchObject({ code: 'LIFEGUARD_LOCK_UNSUPPORTED' })
  expect(error.message).toContain("scope: 'transaction'")
})

test('withMigrationLock runs one at a time', async () => {
  const pools = [testPool(database.url), testPool(database.url)]
  let inside = 0
  await Promise.all(
    pools.map((pool) =>
      pool.withMigrationLock(async () => {
        inside += 1
        expect(inside).toBe(1)
        await new Promise((resolve) => setImmediate(resolve))
        inside -= 1
      }),
    ),
  )
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
  expect(pool.stats().pool.closed).toBe(0)
})

test('at its deadline the caller is answered, and the lock is kept until the callback has ended', async () => {
  const pool = testPool(database.url)
  await pool.withLock('warm up: the self-test is made once', async () => undefined)
  const release = Promise.withResolvers<void>()
  let seen: unknown
  const error = await rejection(
    pool.withLock(
      'late',
      async ({ signal }) => {
        const note = (): void => {
          seen = signal.reason
        }
        if (signal.aborted) note()
        else signal.addEventListener('abort', note)
        await release.promise
      },
      { timeoutMs: 500 },
    ),
  )
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  expect(seen).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  expect(await heldLocks()).toBe(1)
  release.resolve()
  await eventually('the lock is back', async () => (await heldLocks()) === 0)
  expect(pool.stats().pool.closed).toBe(0)
})

// Two timers for one time run in either order, depending on the fractions of milliseconds.
test.each(['session', 'transaction'] as const)(
  'a callback that still runs knows that time is up when its caller does, scope %s',
  async (scope) => {
    const pool = testPool(database.url, { max: 20 })
    const release = Promise.withResolvers<void>()
    const calls = Array.from({ length: 16 }, async (_, i) => {
      let handle: LockHandle | undefined
      const error = await rejection(
        pool.withLock(
          `late ${i}`,
          async (lock) => {
            handle = lock
            await release.promise
          },
          { scope, timeoutMs: 1_000 + i * 1.37 },
        ),
      )
      return { error, reason: handle?.signal.reason as unknown }
    })
    const answers = await Promise.all(calls)
    release.resolve()
    for (const { error, reason } of answers) {
      expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
      expect(reason).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    }
  },
)

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
