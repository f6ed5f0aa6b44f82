import { useDatabase } from '@pg-lifeguard/testing/vitest'
import knex from 'knex'
import { expect, test } from 'vitest'
import { killSessions } from '../support/kill-sessions.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table account (id int primary key, amount int not null)' })

test('Knex works on the facade: queries, transactions, savepoints, streams, also when its sessions are killed', async () => {
  const pool = testPool(database.url, { max: 3 })
  const db = knex({ client: 'pg', connectionPool: pool.asPgPool() })
  await db('account').insert([
    { id: 1, amount: 10 },
    { id: 2, amount: 20 },
  ])
  const seen = await db.transaction(async (trx) => {
    await trx('account').where({ id: 1 }).decrement('amount', 5)
    await rejection(trx.transaction((inner) => inner('account').insert({ id: 1, amount: 0 })))
    await trx('account').where({ id: 2 }).increment('amount', 5)
    return await trx('account').sum<[{ sum: string }]>('amount')
  })
  expect(seen).toEqual([{ sum: '30' }])
  await rejection(
    db.transaction(async (trx) => {
      await trx('account').delete()
      throw new Error('no')
    }),
  )
  await killSessions(database.url, pool)
  expect(await db('account').orderBy('id')).toEqual([
    { id: 1, amount: 5 },
    { id: 2, amount: 25 },
  ])

  // A session that dies in a transaction of Knex costs that transaction, and no place.
  const lost = db.transaction(async (trx) => {
    await trx('account').update({ amount: 0 })
    await killSessions(database.url, pool)
    await trx('account').delete()
  })
  expect((await rejection(lost)).message).toContain('connection')
  await eventually('nothing is held', () => pool.stats().pool.active === 0)
  expect(await db('account').count<[{ count: string }]>()).toEqual([{ count: '2' }])
  await db.destroy()
  // Knex leaves a pool that it was given to its owner.
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('inside of withTransaction what Knex does is part of it, its own transactions are savepoints', async () => {
  const pool = testPool(database.url, { max: 1 })
  const db = knex({ client: 'pg', connectionPool: pool.asPgPool() })
  const failed = pool.withTransaction(async () => {
    await db('account').insert({ id: 3, amount: 1 })
    await rejection(db.transaction((trx) => trx('account').insert({ id: 3, amount: 1 })))
    await db.transaction((trx) => trx('account').insert({ id: 4, amount: 1 }))
    expect(await db('account').whereIn('id', [3, 4])).toHaveLength(2)
    throw new Error('no')
  })
  expect((await rejection(failed)).message).toBe('no')
  expect(await db('account').whereIn('id', [3, 4])).toHaveLength(0)
  await db.destroy()
})
