import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { OperationAbortedError } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('a statement whose transaction is aborted is cancelled once, and the next one on its connection never', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  const pool = testPool(proxy.url, { max: 1 })
  const admin = testPool(database.url, { max: 1 })
  const running =
    "select from pg_stat_activity where datname = current_database() and state = 'active' and query = 'select pg_sleep(30)'"
  for (let i = 0; i < 20; i++) {
    const abort = new AbortController()
    const error = rejection(
      pool.withTransaction((tx) => tx.query('select pg_sleep(30)'), { signal: abort.signal, retry: false }),
    )
    await eventually('it runs', async () => (await admin.query(running)).rows.length === 1)
    abort.abort()
    expect(await error).toBeInstanceOf(OperationAbortedError)
    expect((await pool.query('select 1 as one from pg_sleep(0.005)')).rows).toEqual([{ one: 1 }])
  }
  // One each; a slow machine may make it send a few again.
  expect((await proxy.stats()).cancelRequests).toBeLessThan(30)
  expect(pool.stats().pool.closed).toBe(0)
})
