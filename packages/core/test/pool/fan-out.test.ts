import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { OperationAbortedError } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int)' })

test('when a fan-out rejects, its statements are over on the server, and none takes effect later', async () => {
  const pool = testPool(database.url)
  const admin = testPool(database.url, { max: 1 })
  const running =
    "select from pg_stat_activity where datname = current_database() and state = 'active' and query like 'insert%'"
  const slow = 'insert into entry select 1 from pg_sleep(30)'
  const inTransaction = 'insert into entry select 2 from pg_sleep(30)'
  for (let i = 0; i < 20; i++) {
    let outcome: unknown
    const error = await rejection(
      pool.fanOut({
        slow: async () => {
          const failure = await rejection(pool.query(slow))
          outcome = (failure as OperationAbortedError).outcome
          throw failure
        },
        slower: () => pool.withTransaction((tx) => tx.query(inTransaction)),
        bad: async () => {
          await eventually('the others run', async () => (await admin.query(running)).rows.length === 2)
          throw new Error('bad')
        },
      }),
    )
    expect(error.message).toBe('bad')
    // On a busy machine the word of the server may not come in the time that a caller waits for it: then it is 'unknown'.
    const isOver = async () => (await admin.query(`${running} and query like '%select 1 %'`)).rows.length === 0
    if (outcome === 'unknown') await eventually('it is cancelled', isOver)
    else expect([outcome, await isOver()]).toEqual(['cancelled', true])
    await eventually('the transaction is rolled back', () => pool.stats().pool.active === 0)
  }
  expect((await pool.query('select from entry')).rows).toHaveLength(0)
})

test('a piece of work that does not listen holds a failed fan-out up for a moment only', async () => {
  const pool = testPool(database.url)
  const never = Promise.withResolvers<void>()
  const before = performance.now()
  const error = await rejection(
    pool.fanOut({
      deaf: () => never.promise,
      bad: async () => {
        throw new Error('bad')
      },
    }),
  )
  expect(error.message).toBe('bad')
  expect(performance.now() - before).toBeLessThan(5_000)
  never.resolve()
})
