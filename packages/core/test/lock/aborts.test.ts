import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LifeguardError } from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const watcher = watchLocks(database)

test('a lock that is granted after its caller has gone is given back, also on a session that others share', async () => {
  // Slower than the grace of a cancel, so that the caller is answered before the server has answered.
  await using proxy = await startFaultProxy({ target: database.url, roundTripMs: 150 })
  const pool = testPool(proxy.url, { max: 4, locks: { maxConnections: 1 } })
  await using _ = await pool.acquireLock('stays')
  const controller = new AbortController()
  const late = rejection(pool.acquireLock('late', { signal: controller.signal }))
  await eventually('it is granted on the server', async () => (await watcher.held()) === 2)
  controller.abort()
  expect((await late).name).toBe('AbortError')
  await eventually('it was given back', async () => (await watcher.held()) === 1)
})

test('who waits for a session that somebody else opens can still give up', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 2, locks: { maxConnections: 1, selfTest: false } })
  await proxy.stall()
  const opens = pool.withLock('a', async () => 'a')
  expect(await rejection(pool.withLock('b', async () => undefined, { timeoutMs: 30 }))).toMatchObject({
    code: 'LIFEGUARD_TIMEOUT',
  })
  await proxy.resume()
  expect(await opens).toBe('a')
})

test('who gives up during the self-test gives up alone', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url)
  await proxy.stall()
  const controller = new AbortController()
  const first = rejection(pool.withLock('a', async () => undefined, { signal: controller.signal }))
  const second = pool.withLock('b', async () => 'b')
  controller.abort()
  expect((await first).name).toBe('AbortError')
  await proxy.resume()
  expect(await second).toBe('b')
})

test('the self-test does not wait for a connection that waits for the self-test', async () => {
  const pool = testPool(database.url, { max: 3, acquireTimeoutMs: 20_000 })
  const before = performance.now()
  await Promise.all(
    [1, 2, 3, 4].map((n) =>
      pool.withTransaction(async (tx) => {
        await tx.query('select 1')
        if (n === 1) await pool.withLock('k', async () => undefined)
        else await tx.query('select 2')
      }),
    ),
  )
  expect(performance.now() - before).toBeLessThan(10_000)
})

test('aborting at any moment leaves no lock, no connection and no rejection behind', async () => {
  await using proxy = await startFaultProxy({ target: database.url, roundTripMs: 2 })
  const pool = testPool(proxy.url, { max: 8 })
  const other = testPool(database.url, { max: 8 })
  const key = fc.constantFrom('a', 'b', 'c', 'd')
  const call = fc.record({
    how: fc.constantFrom('withLock', 'acquireLock', 'withSemaphore', 'transaction', 'tryWithLock'),
    keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }),
    afterMs: fc.integer({ min: 0, max: 25 }),
    shared: fc.boolean(),
    waitMs: fc.constantFrom(0, 3, 8, Number.POSITIVE_INFINITY),
    through: fc.boolean(),
  })
  const runs = fc.asyncProperty(fc.array(call, { minLength: 4, maxLength: 14 }), async (calls) => {
    const outcomes = await Promise.allSettled(
      calls.map(async ({ how, keys, afterMs, shared, waitMs, through }) => {
        const from = through ? pool : other
        const controller = new AbortController()
        const timer = setTimeout(() => controller.abort(), afterMs)
        const options = { signal: controller.signal, waitMs, mode: shared ? 'shared' : 'exclusive' } as const
        const work = async (): Promise<void> => {
          await from.query('select 1', [], { signal: controller.signal })
        }
        try {
          if (how === 'acquireLock') {
            await using _ = await from.acquireLock(keys, options)
            await work()
          } else if (how === 'withSemaphore') await from.withSemaphore(keys.join(), 2, work, { ...options })
          else if (how === 'transaction') await from.withLock(keys, work, { ...options, scope: 'transaction' })
          else if (how === 'tryWithLock') await from.tryWithLock(keys, work, options)
          else await from.withLock(keys, work, options)
        } finally {
          clearTimeout(timer)
        }
      }),
    )
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && !LifeguardError.isInstance(outcome.reason)) throw outcome.reason
    }
    await eventually('every connection is back', () => pool.stats().pool.active + other.stats().pool.active === 0)
    await eventually('every lock is back', async () => (await watcher.held()) + (await watcher.waiting()) === 0)
  })
  await fc.assert(runs, { numRuns: 25, seed: 20_260_101 })
})
