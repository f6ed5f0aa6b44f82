import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import {
  type OptimisticRetryOptions,
  type RetryOptions,
  type Transaction,
  VersionConflictError,
} from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const conflict = "do $$ begin raise exception 'again' using errcode = '40001'; end $$"
const loss = 'select pg_terminate_backend(pg_backend_pid())'

/** Counts the attempts of a transaction whose attempts fail in this way. */
async function attempts(
  failing: (attempt: number) => string | undefined,
  retry?: RetryOptions | false,
): Promise<number> {
  const pool = testPool(database.url, { environment: { random: () => 0 } })
  let runs = 0
  const run = pool.withTransaction(
    async (tx: Transaction) => {
      runs += 1
      await tx.query(failing(tx.attempt) ?? 'select 1')
    },
    { retry },
  )
  await rejection(run).catch(() => undefined)
  return runs
}

test('10 attempts by default, whatever was the reason, the first included', async () => {
  expect(await attempts((attempt) => (attempt <= 9 ? conflict : undefined))).toBe(10)
  expect(await attempts(() => conflict)).toBe(10)
  expect(await attempts(() => loss)).toBe(10)
  expect(await attempts((attempt) => (attempt % 2 === 0 ? conflict : loss))).toBe(10)
})

test('a bound that was asked for holds in its place, and none is none', async () => {
  expect(await attempts(() => conflict, { attempts: 61 })).toBe(61)
  expect(await attempts(() => loss, { attempts: 12 })).toBe(12)
  expect(await attempts(() => conflict, { attempts: 3 })).toBe(3)
  expect(await attempts(() => conflict, { attempts: undefined })).toBe(10)
  expect(await attempts(() => conflict, false)).toBe(1)
})

test('optimistic work has 10 attempts by default as well, of versions and of single statements', async () => {
  const pool = testPool(database.url, { environment: { random: () => 0 } })
  const runs = async (fn: () => Promise<unknown>, options: OptimisticRetryOptions = {}): Promise<number> => {
    let made = 0
    const run = pool.withOptimisticRetry(async () => {
      made += 1
      await fn()
    }, options)
    await run.catch(() => undefined)
    return made
  }
  const version = () => Promise.reject(new VersionConflictError('item 7'))
  expect(await runs(version)).toBe(10)
  expect(await runs(() => pool.query(conflict))).toBe(10)
  expect(await runs(version, { attempts: 3 })).toBe(3)
})
