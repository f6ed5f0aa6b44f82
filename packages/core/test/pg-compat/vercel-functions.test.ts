import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { attachDatabasePool } from '@vercel/functions'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase()

/** Where a function on Vercel finds the request that it works for. */
const requestContext = Symbol.for('@vercel/request-context')

beforeEach(() => {
  vi.stubEnv('VERCEL_URL', 'test.vercel.app')
  vi.stubEnv('VERCEL_REGION', 'fra1')
})
afterEach(() => {
  vi.unstubAllEnvs()
  Reflect.deleteProperty(globalThis, requestContext)
})

test('attachDatabasePool keeps the function alive after each use, until idle connections are closed', async () => {
  const waits: Promise<unknown>[] = []
  Reflect.set(globalThis, requestContext, {
    get: () => ({ waitUntil: (promise: Promise<unknown>) => waits.push(promise) }),
  })
  const pool = testPool(database.url, { max: 2, idleTimeoutMs: 50 })
  const pgPool = pool.asPgPool()
  attachDatabasePool(pgPool)
  const uses: readonly (() => Promise<unknown>)[] = [
    () => pgPool.query('select 1'),
    () => pool.query('select 1'),
    () => pool.withTransaction((tx) => tx.query('select 1')),
    async () => (await pgPool.connect()).release(),
  ]
  for (const use of uses) {
    const before = waits.length
    await use()
    expect(waits.length).toBeGreaterThan(before)
  }
  // Each ends with the next one, and the last with the time that a connection may be idle.
  await Promise.all(waits)
  await eventually('what was idle is closed', () => pool.stats().pool.total === 0)
})
