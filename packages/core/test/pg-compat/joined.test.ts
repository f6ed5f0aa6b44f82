import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import Cursor from 'pg-cursor'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })

async function ids(pool: Pool): Promise<number[]> {
  return (await pool.query<{ id: number }>('select id from item order by id')).rows.map(({ id }) => id)
}

/** As programs written for pg do it. */
async function transaction(
  pgPool: pg.Pool,
  fn: (client: pg.PoolClient) => Promise<void>,
  begin = 'begin',
): Promise<void> {
  const client = await pgPool.connect()
  await client.query(begin)
  try {
    await fn(client)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

beforeEach(async () => {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('truncate item')
  await client.end()
})

describe('inside an open transaction', () => {
  test('pool.query belongs to it', async () => {
    const pool = testPool(database.url, { max: 1 })
    const error = await rejection(
      pool.withTransaction(async () => {
        await pool.asPgPool().query('insert into item values (1)')
        expect(await ids(pool)).toEqual([1])
        throw new Error('undone')
      }),
    )
    expect(error.message).toBe('undone')
    expect(await ids(pool)).toEqual([])
  })

  test('a transaction on a client is a savepoint', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    await pool.withTransaction(async (tx) => {
      await transaction(pgPool, async (client) => {
        await client.query('insert into item values (1)')
        await client.query('savepoint mine')
        await rejection(client.query('insert into item values (1)'))
        await client.query('rollback to savepoint mine')
      })
      const failed = await rejection(
        transaction(pgPool, async (client) => {
          await client.query('insert into item values (2)')
          await client.query('insert into item values (1)')
        }),
      )
      expect(failed.code).toBe('23505')
      await tx.query('insert into item values (3)')
    })
    expect(await ids(pool)).toEqual([1, 3])
    await rejection(
      pool.withTransaction(async () => {
        await transaction(pgPool, async (client) => {
          await client.query('insert into item values (4)')
        })
        throw new Error('undone')
      }),
    )
    expect(await ids(pool)).toEqual([1, 3])
    expect(pool.stats()).toMatchObject({ pool: { active: 0, total: 1 } })
  })

  test('one that swallowed a failure is not committed', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.withTransaction(async (tx) => {
      await tx.query('insert into item values (1)')
      const error = await rejection(
        transaction(pool.asPgPool(), async (client) => {
          await client.query('insert into item values (2)')
          await rejection(client.query('select nonsense'))
        }),
      )
      expect(error.code).toBe('LIFEGUARD_TRANSACTION_ROLLED_BACK')
    })
    expect(await ids(pool)).toEqual([1])
  })

  test('a client released without an end is rolled back to where it began', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.withTransaction(async (tx) => {
      const client = await pool.asPgPool().connect()
      await client.query('begin')
      await client.query('insert into item values (1)')
      client.release(true)
      await tx.query('insert into item values (2)')
    })
    expect(await ids(pool)).toEqual([2])
  })

  test.each(['commit and chain', 'rollback and chain', "prepare transaction 'a'", 'begin; select 1; commit'])(
    '%s is refused on a client, and the transaction goes on',
    async (text) => {
      const pool = testPool(database.url, { max: 1 })
      await pool.withTransaction(async () => {
        const client = await pool.asPgPool().connect()
        expect(await rejection(client.query(text))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
        await client.query('insert into item values (1)')
        client.release()
      })
      expect(await ids(pool)).toEqual([1])
    },
  )

  test('nobody ends the transaction around', async () => {
    const pool = testPool(database.url, { max: 1 })
    const pgPool = pool.asPgPool()
    await pool.withTransaction(async () => {
      for (const text of ['begin', 'commit', 'ROLLBACK']) {
        expect(await rejection(pgPool.query(text))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
      }
      const client = await pgPool.connect()
      for (const text of ['commit', 'rollback', 'END WORK']) {
        expect(await rejection(client.query(text))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
      }
      client.release()
      await pgPool.query('insert into item values (1)')
    })
    expect(await ids(pool)).toEqual([1])
  })

  test('isolation that the transaction around does not have is refused, and rollback is harmless then', async () => {
    const pool = testPool(database.url, { max: 1 })
    const nested = (begin: string): Promise<void> =>
      transaction(pool.asPgPool(), async (client) => void (await client.query('select 1')), begin)
    await pool.withTransaction(() => nested('begin isolation level serializable read write'), {
      isolation: 'serializable',
    })
    const client = await pool.withTransaction(async () => {
      const one = await pool.asPgPool().connect()
      const error = await rejection(one.query('begin isolation level serializable'))
      expect(error.message).toContain('isolation')
      await one.query('rollback')
      return one
    })
    client.release()
  })

  test('a cursor runs in it, and what is asked meanwhile waits', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.withTransaction(async (tx) => {
      await tx.query('insert into item select generate_series(1, 10)')
      const client = await pool.asPgPool().connect()
      const cursor = client.query(new Cursor('select id from item order by id'))
      expect(await cursor.read(3)).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
      const counted = tx.query<{ n: number }>('select count(*)::int as n from item')
      expect(await cursor.read(2)).toHaveLength(2)
      await cursor.close()
      expect((await counted).rows).toEqual([{ n: 10 }])
      client.release()
    })
    await pool.withTransaction(async () => {
      const cursor = pool.asPgPool().query(new Cursor('select id from item order by id'))
      expect(await cursor.read(100)).toHaveLength(10)
      await cursor.close()
    })
    expect(pool.stats()).toMatchObject({ pool: { active: 0 } })
  })

  test('a client outlives it to no effect', async () => {
    const pool = testPool(database.url, { max: 1 })
    const client = await pool.withTransaction(() => pool.asPgPool().connect())
    expect((await rejection(client.query('select 1'))).code).toBe('LIFEGUARD_TRANSACTION_CLOSED')
    client.release()
  })
})
