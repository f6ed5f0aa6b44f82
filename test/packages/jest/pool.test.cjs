// test/packages/jest.test.ts runs it: jest, as it is, with its fake timers.
const { createPool, OperationTimeoutError } = require('@pg-lifeguard/core')
const { drizzle, withTransaction } = require('@pg-lifeguard/drizzle')
const { sql } = require('drizzle-orm')
const { performance } = require('node:perf_hooks')

const now = performance.now.bind(performance)

/** Everything that waits for a turn of the event loop, for a timer or for the end of a connection. */
async function use() {
  const pool = createPool({ connectionString: process.env.DATABASE, max: 2 })
  expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  const [one, two] = await Promise.all([pool.query('select 1 as n'), pool.query('select 2 as n')])
  expect([one.rows[0].n, two.rows[0].n]).toEqual([1, 2])
  const rows = []
  for await (const row of pool.stream('select n from generate_series(1, 3) n')) rows.push(row.n)
  expect(rows).toEqual([1, 2, 3])
  await expect(pool.query('select pg_sleep(60)', [], { timeoutMs: 50 })).rejects.toBeInstanceOf(OperationTimeoutError)
  const inside = await withTransaction(drizzle(pool), (tx) => tx.execute(sql`select 4 as n`))
  expect(inside.rows).toEqual([{ n: 4 }])
  const pgPool = pool.asPgPool()
  const client = await pgPool.connect()
  expect((await client.query('select 5 as n')).rows).toEqual([{ n: 5 }])
  client.release()
  const called = await new Promise((resolve) => pgPool.query('select 6 as n', (_, result) => resolve(result)))
  expect(called.rows).toEqual([{ n: 6 }])
  // A connection whose end is not noticed is waited for for a second.
  const before = now()
  await pool.end()
  expect(now() - before).toBeLessThan(900)
}

afterEach(() => jest.useRealTimers())

test('a pool works', use)

test('a pool works while time is faked', async () => {
  jest.useFakeTimers()
  await use()
})
