import { expect } from 'vitest'
import type { Pool } from '../../src/index.js'
import { rejection } from './test-pool.js'

/** Every way to make a pool connect to its server; each is rejected with what its caller gets of a login that fails. */
export const waysToConnect: readonly (readonly [string, (pool: Pool) => Promise<unknown>])[] = [
  ['query', (pool) => pool.query('select 1')],
  ['withTransaction', (pool) => pool.withTransaction((tx) => tx.query('select 1'))],
  ['acquire', (pool) => pool.acquire()],
  ['listen', (pool) => pool.listen('news', () => undefined)],
  ['withLock', (pool) => pool.withLock('k', async () => undefined)],
  ['withMigrationLock', (pool) => pool.withMigrationLock(async () => undefined)],
  [
    'elect',
    async (pool) => {
      const reported = Promise.withResolvers<never>()
      await using _ = pool.elect('k', async () => undefined, { onError: reported.reject })
      await reported.promise
    },
  ],
  [
    'health',
    async (pool) => {
      const { servers } = await pool.health({ timeoutMs: 60_000 })
      throw servers[0]?.error
    },
  ],
]

/** The error of a login that cannot succeed: after one attempt at most, and the breaker has counted nothing. */
export async function refusedAtOnce(
  pool: Pool,
  connect: (pool: Pool) => Promise<unknown>,
): Promise<Error & { readonly code?: string }> {
  const error = await rejection(connect(pool))
  expect(pool.stats().pool.connectFailed).toBeLessThanOrEqual(1)
  expect(pool.stats().servers[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 })
  return error
}
