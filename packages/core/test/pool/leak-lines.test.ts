import { setTimeout as sleep } from 'node:timers/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

function watched(leakDetectionMs = 20): { readonly pool: Pool; readonly stacks: (string | undefined)[] } {
  const stacks: (string | undefined)[] = []
  const onLeak = ({ returned, acquireStack }: { returned: boolean; acquireStack: string | undefined }): void => {
    if (!returned) stacks.push(acquireStack)
  }
  return { pool: testPool(database.url, { max: 2, leakDetectionMs, onLeak }), stacks }
}

/** Holds a connection until the leak is reported. */
type Way = (pool: Pool, reported: () => Promise<unknown>) => Promise<unknown>

const ways: Readonly<Record<string, Way>> = {
  async query(pool, reported) {
    const running = pool.query('select pg_sleep(30)', [], { signal: aborted(reported()) })
    await rejection(running)
  },
  async withTransaction(pool, reported) {
    await pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      await reported()
    })
  },
  async beginTransaction(pool, reported) {
    const tx = await pool.beginTransaction()
    await tx.query('select 1')
    await reported()
    await tx.rollback()
  },
  async acquire(pool, reported) {
    const connection = await pool.acquire()
    await reported()
    connection.release()
  },
  async stream(pool, reported) {
    for await (const _ of pool.stream('select 1')) await reported()
  },
  async batch(pool, reported) {
    await rejection(pool.batch([{ text: 'select pg_sleep(30)' }], { signal: aborted(reported()) }))
  },
  async facade(pool, reported) {
    const client = await pool.asPgPool().connect()
    await reported()
    client.release()
  },
  async 'a transaction under a lock'(pool, reported) {
    await pool.withLock('leak', async () => {
      await pool.withTransaction(async (tx) => {
        await tx.query('select 1')
        await reported()
      })
    })
  },
}

function aborted(when: Promise<unknown>): AbortSignal {
  const controller = new AbortController()
  void when.then(() => controller.abort())
  return controller.signal
}

test.each(Object.keys(ways))('a leak of %s names a line of the program, also for who had to wait', async (name) => {
  const { pool, stacks } = watched()
  const way = ways[name] as Way
  const reportedOnce = (): Promise<unknown> => eventually('it is reported', () => stacks.length > 0)
  await way(pool, reportedOnce)
  expect(stacks[0]).toContain('leak-lines.test')
  expect(stacks[0]).not.toContain('/packages/core/src/')
  // All connections are taken: it stands in the queue.
  const others = [await pool.acquire(), await pool.acquire()]
  const before = stacks.length
  const waiting = way(pool, () =>
    eventually('it is reported', () =>
      stacks.slice(before).some((stack) => stack?.includes(name.includes(' ') ? 'leak-lines' : name)),
    ),
  )
  await eventually('it waits', () => pool.stats().waits.waiting > 0)
  for (const other of others) other.release()
  await waiting
})

test('a lock that is held as asked, and a term of an election, are no leaks', async () => {
  const { pool, stacks } = watched(300)
  await pool.withLock('long', () => sleep(600))
  const lock = await pool.acquireLock('longer')
  const leading = Promise.withResolvers<void>()
  const candidacy = pool.elect('longest', async (term) => {
    leading.resolve()
    await new Promise((resolve) => term.signal.addEventListener('abort', resolve, { once: true }))
  })
  await leading.promise
  await sleep(600)
  await candidacy.stop()
  await lock.release()
  expect(stacks).toEqual([])
})

test('what is in use now, for how long, and what runs on it', async () => {
  const pool = testPool(database.url, { max: 1, leakDetectionMs: 60_000 })
  expect([pool.active(), pool.stats().pool.longestHeldMs]).toEqual([[], 0])
  await pool.query('select 1')
  const connection = await pool.acquire()
  await connection.query('begin')
  const waiting = pool.query('select 2')
  expect(pool.active()).toMatchObject([
    { role: 'primary', text: undefined, runningMs: 0, statements: 0, waitedMs: 0, transaction: 'open' },
  ])
  const running = connection.query('select pg_sleep($1)', [0.05])
  await eventually('it runs', () => (pool.active()[0]?.runningMs ?? 0) > 5)
  const [one] = pool.active()
  expect(one).toMatchObject({ text: 'select pg_sleep($1)', statements: 1 })
  expect(one?.acquireStack).toContain('leak-lines.test')
  expect(pool.stats().pool.longestHeldMs).toBeGreaterThanOrEqual(one?.heldMs ?? Number.POSITIVE_INFINITY)
  const { rows } = await running.then(() => connection.query<{ pid: number }>('select pg_backend_pid() as pid'))
  expect(one?.pid).toBe(rows[0]?.pid)
  connection.release()
  await waiting
  const last = await pool.acquire()
  expect(pool.active()).toMatchObject([{ waitedMs: 0, transaction: 'none' }])
  last.release()
})
