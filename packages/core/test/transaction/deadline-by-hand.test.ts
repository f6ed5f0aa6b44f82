import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { OperationTimeoutError, type Pool } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int)' })

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url, { max: 1 })
})

const long = 'select pg_sleep(30)'

describe('a deadline is an OperationTimeoutError', () => {
  const ways: readonly (readonly [string, () => Promise<unknown>])[] = [
    [
      'of beginTransaction, over a statement',
      async () => {
        await using tx = await pool.beginTransaction({ timeoutMs: 100 })
        await tx.query('insert into item values (1)')
        await tx.query(long)
      },
    ],
    [
      'of beginTransaction, over its first statement',
      async () => {
        await using tx = await pool.beginTransaction({ timeoutMs: 100 })
        await tx.query(long)
      },
    ],
    [
      'of beginTransaction, for a statement that comes after it',
      async () => {
        await using tx = await pool.beginTransaction({ timeoutMs: 100 })
        await tx.query('select 1')
        await new Promise((resolve) => setTimeout(resolve, 250))
        await tx.query('select 1')
      },
    ],
    [
      'of beginTransaction, for a COMMIT that comes after it',
      async () => {
        await using tx = await pool.beginTransaction({ timeoutMs: 100 })
        await tx.query('insert into item values (1)')
        await new Promise((resolve) => setTimeout(resolve, 250))
        await tx.commit()
      },
    ],
    [
      'around beginTransaction',
      () =>
        pool.withDeadline(
          async () => {
            await using tx = await pool.beginTransaction()
            await tx.query(long)
          },
          { timeoutMs: 100 },
        ),
    ],
    [
      'around a transaction by hand on a connection that was acquired',
      () =>
        pool.withDeadline(
          async () => {
            await using connection = await pool.acquire()
            await using tx = connection.beginTransaction()
            await tx.query(long)
          },
          { timeoutMs: 100 },
        ),
    ],
    [
      'of a transaction by hand on a connection that was acquired',
      async () => {
        await using connection = await pool.acquire()
        await using tx = connection.beginTransaction({ timeoutMs: 100 })
        await tx.query(long)
      },
    ],
    [
      'around a client of the facade',
      () =>
        pool.withDeadline(
          async () => {
            const client = await pool.asPgPool().connect()
            try {
              await client.query('begin')
              await client.query(long)
            } finally {
              client.release()
            }
          },
          { timeoutMs: 100 },
        ),
    ],
    [
      'of beginTransaction inside of withTransaction',
      () =>
        pool.withTransaction(async () => {
          await using tx = await pool.beginTransaction({ timeoutMs: 100 })
          await tx.query(long)
        }),
    ],
  ]

  test.each(ways)('%s', async (_, work) => {
    // Connecting is no part of the time.
    await pool.query('select 1')
    const error = await rejection(work())
    expect(error).toBeInstanceOf(OperationTimeoutError)
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect((await pool.query('select count(*)::int as n from item')).rows).toEqual([{ n: 0 }])
    // On a busy machine the server may not answer to the cancel in time, and that is a failure.
    const isAnswered = (error as OperationTimeoutError).outcome === 'cancelled'
    expect(pool.stats().servers[0]?.breaker).toMatchObject({ state: 'closed', ...(isAnswered && { failures: 0 }) })
  })
})
