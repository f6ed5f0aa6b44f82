import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { createBreaker, type Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int)' })

const soon = { timeoutMs: 50 }
const never = (): Promise<never> => new Promise(() => undefined)

async function behindLock(pool: Pool, ask: () => Promise<unknown>): Promise<unknown> {
  const lock = await pool.acquireLock('k')
  try {
    return await ask()
  } finally {
    await lock.release()
  }
}

async function whileBusy(pool: Pool, ask: () => Promise<unknown>): Promise<unknown> {
  const connections = await Promise.all([pool.acquire(), pool.acquire()])
  try {
    return await ask()
  } finally {
    for (const connection of connections) connection.release()
  }
}

async function drain(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

/** Each way to run out of time, or of connections, on a pool of two. */
const ways: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
  'a query': (pool) => pool.query('select pg_sleep(30)', [], soon),
  'a wait for a connection': (pool) => whileBusy(pool, () => pool.acquire(soon)),
  'a query that finds no connection': (pool) => whileBusy(pool, () => pool.query('select 1')),
  'a query of the facade that finds no connection': (pool) =>
    whileBusy(pool, async () => await pool.asPgPool().query('select 1')),
  'a deadline': (pool) => pool.withDeadline(never, { timeoutMs: 50 }),
  fanOut: (pool) => pool.fanOut({ a: never }, soon),
  forEachConcurrent: (pool) => pool.forEachConcurrent([1], never, soon),
  'forEachConcurrent, of a source that gives nothing': (pool) =>
    pool.forEachConcurrent({ [Symbol.asyncIterator]: () => ({ next: never }) }, never, soon),
  withOptimisticRetry: (pool) => pool.withOptimisticRetry(never, soon),
  'another withFallback': (pool) => pool.withFallback('other', never, { cache: new Map(), ...soon }),
  'a transaction': (pool) => pool.withTransaction((tx) => tx.query('select pg_sleep(30)'), soon),
  'a nested transaction': (pool) => pool.withTransaction((tx) => tx.withTransaction(never, soon)),
  'a statement that waits for its turn in a transaction': (pool) =>
    pool.withTransaction((tx) => Promise.all([tx.query('select pg_sleep(1)'), tx.query('select 1', [], soon)])),
  'a transaction that is ended by hand': async (pool) => {
    await using tx = await pool.beginTransaction(soon)
    await tx.query('select pg_sleep(30)')
  },
  'a transaction on an acquired connection': async (pool) => {
    await using connection = await pool.acquire()
    await using tx = connection.beginTransaction(soon)
    await tx.query('select pg_sleep(30)')
  },
  'a batch': (pool) => pool.batch([{ text: 'select pg_sleep(30)' }], soon),
  'batchTogether, of work that does not end after its statement': (pool) =>
    pool.batchTogether([() => pool.query('select 1').then(never)], { timeoutMs: 500 }),
  batchTogether: (pool) => pool.batchTogether([never], soon),
  'a stream': (pool) => drain(pool.stream('select pg_sleep(30)', [], soon)),
  copyTo: (pool) => drain(pool.copyTo({ text: 'select pg_sleep(30)' }, soon)),
  copyFrom: (pool) => pool.copyFrom({ table: 'item' }, { [Symbol.asyncIterator]: () => ({ next: never }) }, soon),
  'a wait for a lock': (pool) => behindLock(pool, () => pool.withLock('k', never, soon)),
  'a wait for a lock of a transaction': (pool) =>
    behindLock(pool, () => pool.withLock('k', never, { ...soon, scope: 'transaction' })),
  'a lock that is held for too long': async (pool) => {
    const work = Promise.withResolvers<void>()
    try {
      await pool.withLock('k', () => work.promise, { timeoutMs: 500 })
    } finally {
      work.resolve()
    }
  },
}

async function stored(pool: Pool): Promise<Map<string, unknown>> {
  const cache = new Map<string, unknown>()
  await pool.withFallback('k', async () => 'good', { cache })
  return cache
}

describe.each(Object.entries(ways))('withFallback and %s', (_, ask) => {
  test('of its own pool: the last good answer', async () => {
    const pool = testPool(database.url, { max: 2, acquireTimeoutMs: 500 })
    const seen = await pool.withFallback('k', () => ask(pool), { cache: await stored(pool) })
    expect(seen).toMatchObject({ value: 'good', stale: true })
  })

  test('of another pool: its error', async () => {
    const pool = testPool(database.url)
    const other = testPool(database.url, { max: 2, acquireTimeoutMs: 500 })
    const error = await rejection(pool.withFallback('k', () => ask(other), { cache: await stored(pool) }))
    expect(error.code).toMatch(/^LIFEGUARD_/)
  })
})

test('withFallback and listen, of a server that is not there', async () => {
  const nobody = testPool('postgres://127.0.0.1:1/x', { acquireTimeoutMs: 50 })
  const pool = testPool(database.url)
  const listen = (): Promise<unknown> => nobody.listen('news', () => undefined, soon)
  const cache = await stored(pool)
  expect(await rejection(pool.withFallback('k', listen, { cache }))).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
  expect(await nobody.withFallback('k', listen, { cache })).toMatchObject({ value: 'good', stale: true })
})

describe('withFallback and a breaker that the caller has put around something', () => {
  const options = { name: 'something', minCalls: 1 } as const

  test('else: its error', async () => {
    const pool = testPool(database.url)
    const cache = await stored(pool)
    const breaker = createBreaker(options)
    const late = pool.withFallback('k', () => breaker.run(never, soon), { cache })
    expect(await rejection(late)).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    const open = pool.withFallback('k', () => breaker.run(never, soon), { cache })
    expect(await rejection(open)).toMatchObject({ code: 'LIFEGUARD_BREAKER_OPEN' })
  })

  test('of this pool: the last good answer', async () => {
    const pool = testPool(database.url)
    const cache = await stored(pool)
    const breaker = createBreaker(options)
    const ask = (): Promise<unknown> => breaker.run(() => pool.query('select pg_terminate_backend(pg_backend_pid())'))
    for (const code of ['57P01', 'LIFEGUARD_BREAKER_OPEN']) {
      expect(await pool.withFallback('k', ask, { cache })).toMatchObject({
        value: 'good',
        stale: true,
        error: { code },
      })
    }
  })
})
