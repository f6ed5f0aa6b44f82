import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
/** More than a gigabyte, which the server sends as fast as it is read. */
const endless = "select generate_series(1, 5000000) as n, repeat('x', 300) as t"
const timeoutMs = 500
/** Of all of them together. Kept, the rows of the five seconds in which the server sends on are several times as much. */
const mostBytes = 400_000_000

/** Readers that ask for everything at once, and are told that their time is over. */
const readers: readonly ((pool: Pool) => Promise<unknown>)[] = [
  (pool) => pool.query({ text: endless }, { timeoutMs }),
  (pool) => pool.query({ text: `select 1; ${endless}` }, { timeoutMs }),
  (pool) => pool.query({ text: endless }, { signal: AbortSignal.timeout(timeoutMs) }),
  (pool) => pool.withTransaction((tx) => tx.query({ text: endless }, { timeoutMs })),
  (pool) => pool.withTransaction((tx) => tx.query({ text: endless }), { timeoutMs }),
  (pool) => pool.batch([{ text: 'select 1' }, { text: endless }], { timeoutMs }),
  async (pool) => {
    for await (const _ of pool.stream({ text: endless }, { timeoutMs, batchSize: 5_000_000 })) return
  },
  async (pool) => {
    const client = await pool.asPgPool().connect()
    try {
      await pool.withDeadline(async () => client.query(new Cursor(endless)).read(5_000_000), { timeoutMs })
    } finally {
      client.release()
    }
  },
  async (pool) => {
    const query = { text: endless, query_timeout: timeoutMs, queryMode: 'extended' }
    await pool.asPgPool().query(query as unknown as pg.QueryConfig)
  },
]

function held(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

test('rows for a reader that was told that its time is over are dropped, though no cancel reaches the server', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pools = readers.map(() => testPool(proxy.urlFor(database.url), { max: 1 }))
  await Promise.all(pools.map((pool) => pool.query('select 1')))
  await proxy.refuse()
  const told = await Promise.all(readers.map((read, n) => rejection(read(pools[n] as Pool))))
  expect(told.map(({ code }) => code)).toEqual(
    readers.map((_, n) => (n === 2 ? 'LIFEGUARD_ABORTED' : 'LIFEGUARD_TIMEOUT')),
  )
  // Until each connection has been given up, as its statement goes on in spite of all.
  let most = 0
  while (pools.some((pool) => pool.stats().pool.total > 0)) {
    most = Math.max(most, held())
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(most).toBeLessThan(mostBytes)
  await proxy.accept()
}, 60_000)
