import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeadlockError, InvalidArgumentError, type LockOptions, type Pool } from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const watcher = watchLocks(database)

type Step = readonly [key: string | readonly string[], options?: LockOptions]

/** Each line takes its first lock, waits until all have theirs, and takes the second inside. Who lost, and how. */
async function cross(lines: readonly (readonly [Pool, Step, Step])[]): Promise<unknown[]> {
  const all = Promise.withResolvers<void>()
  let entered = 0
  const outcomes = await Promise.allSettled(
    lines.map(([pool, [first, how], [second, then]]) => {
      const inner = async (): Promise<void> => {
        entered += 1
        if (entered === lines.length) all.resolve()
        await all.promise
        await pool.withLock(second, async () => undefined, then)
      }
      return pool.withLock(first, inner, how)
    }),
  )
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
}

function expectOneDeadlock(reasons: readonly unknown[]): void {
  expect(reasons).toHaveLength(1)
  expect(reasons[0]).toBeInstanceOf(DeadlockError)
}

describe('a circle has exactly one DeadlockError', () => {
  test('across processes whose pools have no connection left to look with', async () => {
    const [one, two] = [testPool(database.url, { max: 2 }), testPool(database.url, { max: 2 })]
    expectOneDeadlock(
      await cross([
        [one, ['p'], ['q']],
        [two, ['q'], ['p']],
      ]),
    )
  })

  test('of three, two of them in one process, whoever of them closes it', async () => {
    for (let order = 0; order < 3; order++) {
      const [one, two] = [testPool(database.url), testPool(database.url)]
      const lines: [Pool, Step, Step][] = [
        [one, ['a'], ['b']],
        [one, ['b'], ['c']],
        [two, ['c'], ['a']],
      ]
      expectOneDeadlock(await cross([...lines.slice(order), ...lines.slice(0, order)]))
    }
  })

  test('in which one stands inside its process behind somebody who holds nothing', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    const [a, b] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const first = one.withLock('a', async () => {
      a.resolve()
      await b.promise
      await one.withLock('b', async () => undefined)
    })
    await a.promise
    const innocent = two.withLock('a', async () => undefined)
    await eventually('it waits', async () => (await watcher.waiting()) === 1)
    const second = two.withLock('b', async () => {
      b.resolve()
      await two.withLock('a', async () => undefined)
    })
    const outcomes = await Promise.allSettled([first, second])
    expectOneDeadlock(outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : [])))
    await innocent
  })

  test('in which two processes have somebody in line inside', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    const lines: [Pool, Step, Step][] = [
      [one, ['a'], ['b']],
      [one, ['b'], ['c']],
      [two, ['c'], ['d']],
      [two, ['d'], ['a']],
    ]
    expectOneDeadlock(await cross(lines))
  })

  test('of shared and exclusive locks', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    expectOneDeadlock(
      await cross([
        [one, ['a', { mode: 'shared' }], ['b']],
        [two, ['b', { mode: 'shared' }], ['a']],
      ]),
    )
    expectOneDeadlock(
      await cross([
        [one, ['a', { mode: 'shared' }], ['b']],
        [one, ['b', { mode: 'shared' }], ['a']],
      ]),
    )
  })

  test('of several keys in one call and nested ones', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    const [low, high] = ['2', '1'] // in the order of their hashes, or not: both ways are tried
    for (const [x, y] of [
      [low, high],
      [high, low],
    ] as const) {
      const holding = Promise.withResolvers<void>()
      const reasons = await Promise.allSettled([
        one.withLock(x, async () => {
          holding.resolve()
          await one.withLock(y, async () => undefined)
        }),
        holding.promise.then(() => two.withLock([x, y], async () => undefined)),
      ])
      for (const reason of reasons) {
        if (reason.status === 'rejected') expect(reason.reason).toBeInstanceOf(DeadlockError)
      }
    }
  })

  test('of locks of sessions and of transactions', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    expectOneDeadlock(
      await cross([
        [one, ['a'], ['b', { scope: 'transaction' }]],
        [two, ['b'], ['a', { scope: 'transaction' }]],
      ]),
    )
    expectOneDeadlock(
      await cross([
        [one, ['a', { scope: 'transaction' }], ['b']],
        [two, ['b', { scope: 'transaction' }], ['a']],
      ]),
    )
  })
})

test('a lock in itself: taken once, or refused, and never waited for', async () => {
  const pool = testPool(database.url)
  await pool.withLock('a', async () => {
    await pool.withLock('a', () => pool.query('select 1'), { scope: 'transaction' })
    expect(await rejection(pool.acquireLock('a'))).toBeInstanceOf(DeadlockError)
  })
  for (const scope of ['session', 'transaction'] as const) {
    const upgrade = pool.withLock('a', () => pool.withLock('a', async () => undefined, { scope }), { mode: 'shared' })
    expect(await rejection(upgrade)).toBeInstanceOf(InvalidArgumentError)
  }
})

test('semaphores in both orders, and one in itself', async () => {
  const pool = testPool(database.url)
  const nested = pool.withSemaphore('s', 1, () => pool.withSemaphore('s', 1, async () => undefined))
  expect(await rejection(nested)).toBeInstanceOf(DeadlockError)
  const pools = [testPool(database.url), testPool(database.url)] as const
  const both = Promise.withResolvers<void>()
  let entered = 0
  const line = (on: Pool, first: string, second: string): Promise<void> =>
    on.withSemaphore(first, 1, async () => {
      entered += 1
      if (entered === 2) both.resolve()
      await both.promise
      await on.withSemaphore(second, 1, async () => undefined)
    })
  const outcomes = await Promise.allSettled([line(pools[0], 's', 't'), line(pools[1], 't', 's')])
  expectOneDeadlock(outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : [])))
  // Two places: whoever holds one may have the other as well.
  await pool.withSemaphore('u', 2, () => pool.withSemaphore('u', 2, async () => undefined))
})

test('a wait inside an open transaction is bounded by its own time, and leaves that usable', async () => {
  const pool = testPool(database.url)
  await using _ = await testPool(database.url).acquireLock('taken')
  await pool.withTransaction(async (tx) => {
    // The time of the lock is not to go into connecting.
    await tx.query('select 1')
    const late = pool.withLock('taken', async () => undefined, { scope: 'transaction', timeoutMs: 40 })
    expect(await rejection(late)).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    expect((await tx.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

test('random programs of nested locks over two processes end: done, or with a DeadlockError, one at a time inside', async () => {
  const pools = [testPool(database.url, { max: 12 }), testPool(database.url, { max: 12 })] as const
  const lock = fc.record({
    keys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 2 }),
    shared: fc.boolean(),
    transaction: fc.boolean(),
  })
  const line = fc.record({ on: fc.constantFrom(0, 1), locks: fc.array(lock, { minLength: 1, maxLength: 3 }) })
  const property = fc.asyncProperty(fc.array(line, { minLength: 2, maxLength: 4 }), async (lines) => {
    const inside = new Map<string, { readers: number; writers: number }>()
    const enter = (key: string, shared: boolean, by: number): void => {
      const now = inside.get(key) ?? { readers: 0, writers: 0 }
      if (shared) now.readers += by
      else now.writers += by
      inside.set(key, now)
      expect(now.writers > 1 || (now.writers === 1 && now.readers > 0), `two inside ${key}`).toBe(false)
    }
    const run = async (pool: Pool, [first, ...rest]: (typeof lines)[number]['locks'], held: ReadonlySet<string>) => {
      if (first === undefined) return
      const keys = first.keys.filter((key) => !held.has(key))
      if (keys.length === 0) return
      // Locks of one transaction are held until its end, which the count inside does not see: innermost ones only.
      const scope = first.transaction && rest.length === 0 ? 'transaction' : 'session'
      const work = async (): Promise<void> => {
        for (const key of keys) enter(key, first.shared, 1)
        await new Promise((resolve) => setImmediate(resolve))
        try {
          await run(pool, rest, new Set([...held, ...keys]))
        } finally {
          for (const key of keys) enter(key, first.shared, -1)
        }
      }
      await pool.withLock(keys, work, { mode: first.shared ? 'shared' : 'exclusive', scope })
    }
    const outcomes = await Promise.allSettled(
      lines.map(({ on, locks }) => run(pools[on === 0 ? 0 : 1], locks, new Set())),
    )
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && !(outcome.reason instanceof DeadlockError)) throw outcome.reason
    }
  })
  await fc.assert(property, { numRuns: 30, seed: 20_260_102 })
}, 60_000)
