import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { OperationTimeoutError, type Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int)' })
const timeoutMs = 50

/** Keeps the process busy until the time is over, so that a statement finds that out before any timer does. */
function stayBusy(): void {
  const until = performance.now() + 2 * timeoutMs
  while (performance.now() < until);
}

/** As an ORM does: what a statement fails with is wrapped. */
const wrapped = new Error('the query failed')
async function fail(run: () => Promise<unknown>): Promise<never> {
  stayBusy()
  wrapped.cause = await rejection(run())
  throw wrapped
}

const ways: readonly (readonly [string, (pool: Pool) => Promise<unknown>])[] = [
  ['withTransaction', (pool) => pool.withTransaction((tx) => fail(() => tx.query('select 1')), { timeoutMs })],
  [
    'withTransaction, by an ambient query',
    (pool) => pool.withTransaction(() => fail(() => pool.query('select 1')), { timeoutMs }),
  ],
  [
    'withTransaction, after a statement',
    (pool) =>
      pool.withTransaction(
        async (tx) => {
          await tx.query('insert into entry values (1)')
          return await fail(() => tx.query('select 1'))
        },
        { timeoutMs },
      ),
  ],
  [
    'a transaction in another one',
    (pool) =>
      pool.withTransaction((tx) => tx.withTransaction((inner) => fail(() => inner.query('select 1')), { timeoutMs })),
  ],
  ['withDeadline', (pool) => pool.withDeadline(() => fail(() => pool.query('select 1')), { timeoutMs })],
  ['withOptimisticRetry', (pool) => pool.withOptimisticRetry(() => fail(() => pool.query('select 1')), { timeoutMs })],
  ['fanOut', (pool) => pool.fanOut({ one: () => fail(() => pool.query('select 1')) }, { timeoutMs })],
]

test.each(ways)('%s rejects with its own error, also where a statement finds out first', async (_, work) => {
  const pool = testPool(database.url)
  const error = await rejection(work(pool))
  expect(error).toBeInstanceOf(OperationTimeoutError)
  expect((await pool.query('select from entry')).rows).toEqual([])
})
