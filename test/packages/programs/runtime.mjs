// What a pool does, on whatever runtime this is run by: node, bun or deno. DATABASE has the URL.
import { createPool, OperationTimeoutError } from '@pg-lifeguard/core'

const pool = createPool({ connectionString: process.env.DATABASE, max: 2 })
const results = {}
try {
  results.query = (await pool.query('select 1 as n')).rows
  results.transaction = await pool.withTransaction(async () => {
    await pool.query('create temporary table seen (n int) on commit drop')
    await pool.query('insert into seen values ($1)', [2])
    return (await pool.query('select n from seen')).rows
  })
  results.lock = await pool.withLock('runtime', () => 'held', { waitMs: 5_000 })
  results.stream = []
  for await (const { n } of pool.stream('select n from generate_series(1, 3) n')) results.stream.push(n)
  results.timeout = await pool.query('select pg_sleep(60)', [], { timeoutMs: 50 }).then(
    () => 'none',
    (error) => error instanceof OperationTimeoutError,
  )
  const received = Promise.withResolvers()
  const subscription = await pool.listen('runtime', (payload) => received.resolve(payload))
  await pool.notify('runtime', 'hello')
  results.listen = await received.promise
  await subscription.unlisten()
  results.health = (await pool.health()).status
} finally {
  await pool.end()
}
console.log(JSON.stringify(results))
