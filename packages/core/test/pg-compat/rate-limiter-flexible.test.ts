import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import { expect, test } from 'vitest'
import { killSessions } from '../support/kill-sessions.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase()

test('rate-limiter-flexible knows the facade as a pool, and counts on it, also when its sessions are killed', async () => {
  const pool = testPool(database.url, { max: 3 })
  const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
    const made = new RateLimiterPostgres(
      { storeClient: pool.asPgPool(), points: 5, duration: 600, tableName: 'limits', clearExpiredByTimeout: false },
      (error?: Error) => (error === undefined ? resolve(made) : reject(error)),
    )
  })
  const first = await Promise.all([1, 2, 3].map(() => limiter.consume('ada')))
  expect(Math.min(...first.map(({ remainingPoints }) => remainingPoints))).toBe(2)
  await killSessions(database.url, pool)
  expect((await limiter.get('ada'))?.consumedPoints).toBe(3)
  expect((await limiter.consume('ada', 2)).remainingPoints).toBe(0)
  const refused: unknown = await limiter.consume('ada').catch((reason: unknown) => reason)
  expect(refused).toBeInstanceOf(RateLimiterRes)
  await limiter.delete('ada')
  expect((await limiter.consume('ada')).consumedPoints).toBe(1)
  expect(pool.stats().pool.active).toBe(0)
})
