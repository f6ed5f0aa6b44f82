import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, expect, expectTypeOf, test } from 'vitest'
import { BatchError, InvalidArgumentError, OperationTimeoutError, type Pool, sqlStateOf } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })

let pool: Pool

beforeEach(async () => {
  pool = testPool(database.url, { max: 2 })
  await pool.query('truncate item')
})

const insert = (id: number) => async () => (await pool.query('insert into item values ($1)', [id])).rowCount
const ids = async () => (await pool.query<{ id: number }>('select id from item order by id')).rows.map(({ id }) => id)

async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('was expected to be rejected, but was not')
  return outcome.reason
}

test('pieces of work that ask for a statement each share one round trip, and each maps its own answer', async () => {
  await using proxy = await startFaultProxy({ target: database.url })
  pool = testPool(proxy.url, { max: 1 })
  await pool.query('select 1')
  const before = (await proxy.stats()).messages.toServer.Sync ?? 0
  const results = await pool.batchTogether([insert(1), insert(2), ids])
  expectTypeOf(results).toEqualTypeOf<[number | null, number | null, number[]]>()
  expect(results).toEqual([1, 1, [1, 2]])
  expect(((await proxy.stats()).messages.toServer.Sync ?? 0) - before).toBe(1)
  await pool.end()
})

test('all or nothing, with the index of the one that failed', async () => {
  const error = await rejection(pool.batchTogether([insert(1), insert(1), insert(2)]))
  expect(error).toBeInstanceOf(BatchError)
  expect([(error as BatchError).index, sqlStateOf(error)]).toEqual([1, '23505'])
  expect(await ids()).toEqual([])
})

test('inside of a transaction it belongs to that', async () => {
  const undo = new Error('undo')
  const work = pool.withTransaction(async () => {
    await pool.batchTogether([insert(1), insert(2)])
    expect(await ids()).toEqual([1, 2])
    throw undo
  })
  expect(await rejection(work)).toBe(undo)
  expect(await ids()).toEqual([])
})

test('one that fails before it asks is told as it is, and nothing is sent', async () => {
  const own = new Error('mine')
  const failing = async () => {
    throw own
  }
  expect(await rejection(pool.batchTogether([insert(1), failing]))).toBe(own)
  expect(await ids()).toEqual([])
})

test('one that asks for nothing, or for more than a statement, is refused', async () => {
  expect(await rejection(pool.batchTogether([insert(1), async () => 'nothing']))).toBeInstanceOf(InvalidArgumentError)
  const two = async () => {
    await pool.query('select 1')
    await pool.query('select 2')
  }
  const error = await rejection(pool.batchTogether([two]))
  expect(error.message).toContain('a second statement')
  const copying = async () => await pool.batch([{ text: 'select 1' }, { text: 'select 2' }])
  expect((await rejection(pool.batchTogether([copying]))).message).toContain('more than a statement')
  expect(await rejection(pool.batchTogether([1 as never]))).toBeInstanceOf(InvalidArgumentError)
  expect(await ids()).toEqual([])
})

test('ends in time, also while one has not asked yet', async () => {
  const asks = pool.batchTogether([insert(1)], { timeoutMs: 5_000 })
  expect(await asks).toEqual([1])
  const controller = new AbortController()
  const late = async () => {
    await new Promise<void>((resolve) => controller.signal.addEventListener('abort', () => resolve()))
    throw new Error('too late')
  }
  const stopped = rejection(pool.batchTogether([insert(2), late], { signal: controller.signal }))
  controller.abort()
  expect((await stopped).name).toBe('AbortError')
  expect(await ids()).toEqual([1])
  const slow = pool.batchTogether([async () => await pool.query('select pg_sleep(30)')], { timeoutMs: 100 })
  expect(await rejection(slow)).toBeInstanceOf(OperationTimeoutError)
})
