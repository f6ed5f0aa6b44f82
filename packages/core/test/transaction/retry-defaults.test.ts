import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Transaction } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const conflict = "do $$ begin raise exception 'again' using errcode = '40001'; end $$"
const loss = 'select pg_terminate_backend(pg_backend_pid())'

/** Counts the attempts of a transaction whose attempts fail in this way. */
async function attempts(failing: (attempt: number) => string | undefined, explicit?: number): Promise<number> {
  const pool = testPool(database.url, { environment: { random: () => 0 } })
  let runs = 0
  const run = pool.withTransaction(
    async (tx: Transaction) => {
      runs += 1
      await tx.query(failing(tx.attempt) ?? 'select 1')
    },
    explicit === undefined ? {} : { retry: { attempts: explicit } },
  )
  await rejection(run).catch(() => undefined)
  return runs
}

test('conflicts are a sign of progress: up to 100 attempts', async () => {
  expect(await attempts((attempt) => (attempt <= 60 ? conflict : undefined))).toBe(61)
  expect(await attempts(() => conflict)).toBe(100)
})

test('a transaction that brings its session down does so 10 times, whatever conflicts there were between', async () => {
  expect(await attempts(() => loss)).toBe(10)
  expect(await attempts((attempt) => (attempt % 2 === 0 ? conflict : loss))).toBe(19)
})

test('a bound that was asked for holds for both', async () => {
  expect(await attempts(() => loss, 12)).toBe(12)
  expect(await attempts(() => conflict, 3)).toBe(3)
})
