import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { createBudget, createPools } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('pools of one budget never have more sessions together, and none is left waiting', async () => {
  const config = { connectionString: database.url, max: 4, applicationName: 'budget' }
  const watcher = testPool(database.url)
  await using pools = createPools({ main: { ...config, min: 1 }, analytics: config }, { budget: { max: 4 } })
  let most = 0
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      const { rows } = await watcher.query<{ n: number }>(
        "select count(*)::int as n from pg_stat_activity where application_name = 'budget'",
      )
      most = Math.max(most, rows[0]?.n ?? 0)
    }
  })()
  const work = Array.from({ length: 40 }, (_, n) =>
    pools[n % 2 === 0 ? 'main' : 'analytics'].query('select pg_sleep(0.02)'),
  )
  await Promise.all(work)
  await pools.analytics.query('select 1')
  isOver = true
  await watching
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(4)
  expect(pools.stats()).toMatchObject({ active: 0, waiting: 0, budget: { max: 4, wanting: 0 } })
  expect(pools.stats().pools.main.name).toBe('main')
})

test('a group is paused, flushed and ended as one', async () => {
  const pools = createPools({ a: { connectionString: database.url }, b: { connectionString: database.url } })
  await pools.pause()
  const waiting = Promise.all([pools.a.query('select 1'), pools.b.query('select 1')])
  expect(pools.stats()).toMatchObject({ waiting: 2, budget: undefined })
  pools.resume()
  await waiting
  await pools.evict('idle')
  expect(pools.stats().total).toBe(0)
  const held = await pools.a.acquire()
  const ended = rejection(pools.end())
  expect(pools.cancelEnd()).toBe(false) // b had nothing to wait for
  expect(await ended).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
  held.release()
  await pools.end()
})

test('refuses names that the group has, budgets that mean nothing, and mins that are too many', () => {
  const connectionString = database.url
  // @ts-expect-error: a pool cannot be named as what the group does
  expect(() => createPools({ end: { connectionString } })).toThrow('the name of a pool')
  expect(() => createBudget({ max: 0 })).toThrow('budget.max')
  expect(() => createBudget({ max: 2, perUser: 3 })).toThrow('budget.perUser')
  expect(() =>
    createPools({ a: { min: 2, connectionString }, b: { min: 1, connectionString } }, { budget: { max: 2 } }),
  ).toThrow('max of the budget (2)')
})
