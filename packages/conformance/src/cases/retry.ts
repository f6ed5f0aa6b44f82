import assert from 'node:assert/strict'
import { classify, sqlStateOf } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { rejection } from '../expectations.js'

export const retryCases: readonly Case[] = [
  {
    name: 'retry: thirty serializable increments by concurrent callers are all counted',
    async run({ handle, pool }) {
      await handle.insert({ id: 1, name: 'counter' })
      // The first two read before either of them writes: there is a conflict however slowly connections are opened.
      let readers = 0
      const bothHaveRead = Promise.withResolvers<void>()
      const increment = (): Promise<number> =>
        handle.withTransaction(
          async (tx) => {
            const { stock } = (await tx.find(1)) ?? assert.fail('the counter is gone')
            readers += 1
            if (readers === 2) bothHaveRead.resolve()
            if (readers < 2) await bothHaveRead.promise
            await tx.update(1, { stock: stock + 1 })
            return stock + 1
          },
          { isolation: 'serializable', retry: { attempts: 100 } },
        )
      const seen = await Promise.all(Array.from({ length: 30 }, increment))
      assert.equal((await handle.find(1))?.stock, 30)
      assert.deepEqual(
        [...seen].sort((a, b) => a - b),
        Array.from({ length: 30 }, (_, index) => index + 1),
      )
      assert.ok(pool.stats().retries > 0, 'there was nothing to be retried: the case is no case')
    },
  },
  {
    name: 'retry: counts its attempts, and says why there was another',
    async run({ handle, admin }) {
      await handle.insert({ id: 1, name: 'counter' })
      const attempts: number[] = []
      const reasons = await handle.withTransaction(
        async (tx, transaction) => {
          attempts.push(transaction.attempt)
          const item = await tx.find(1)
          if (transaction.attempt <= 2) await admin.query('update item set stock = stock + 1 where id = 1')
          await tx.update(1, { stock: (item?.stock ?? 0) + 10 })
          return transaction.retries.map(({ attempt, reason }) => `${attempt} ${reason}`)
        },
        { isolation: 'repeatable read' },
      )
      assert.deepEqual(attempts, [1, 2, 3])
      assert.deepEqual(reasons, ['1 conflict', '2 conflict'])
      assert.equal((await handle.find(1))?.stock, 12)
    },
  },
  {
    name: 'retry: raw SQL that meets a conflict is tried again as well',
    async run({ handle, admin }) {
      await handle.insert({ id: 1, name: 'counter' })
      const attempts: number[] = []
      await handle.withTransaction(
        async (tx, { attempt }) => {
          attempts.push(attempt)
          await tx.query('select stock from item where id = $1', [1])
          if (attempt === 1) await admin.query('update item set stock = stock + 1 where id = 1')
          await tx.query('update item set stock = stock + 1 where id = $1', [1])
        },
        { isolation: 'repeatable read' },
      )
      assert.deepEqual(attempts, [1, 2])
      assert.equal((await handle.find(1))?.stock, 2)
    },
  },
  {
    name: 'retry: a write skew that COMMIT alone finds is tried again',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'one', stock: 1 })
      await handle.insert({ id: 2, name: 'two', stock: 1 })
      let readers = 0
      const bothHaveRead = Promise.withResolvers<void>()
      // Each takes the last of its own if there are two in all: only one of them may.
      const take = (mine: number): Promise<boolean> =>
        handle.withTransaction(
          async (tx) => {
            const all = ((await tx.find(1))?.stock ?? 0) + ((await tx.find(2))?.stock ?? 0)
            readers += 1
            if (readers === 2) bothHaveRead.resolve()
            await bothHaveRead.promise
            if (all < 2) return false
            await tx.update(mine, { stock: 0 })
            return true
          },
          { isolation: 'serializable' },
        )
      const taken = await Promise.all([take(1), take(2)])
      assert.deepEqual([...taken].sort(), [false, true])
      assert.ok(readers > 2, 'there was nothing to be retried: the case is no case')
    },
  },
  {
    name: 'retry: what cannot be cured by another attempt is not tried again',
    async run({ handle, admin }) {
      await handle.insert({ id: 1, name: 'lamp' })
      let calls = 0
      const duplicate = await rejection(
        handle.withTransaction(async (tx) => {
          calls += 1
          await tx.insert({ id: 1, name: 'again' })
        }),
      )
      assert.equal(sqlStateOf(duplicate), '23505')
      assert.equal(calls, 1)
      const conflict = await rejection(
        handle.withTransaction(
          async (tx) => {
            calls += 1
            await tx.find(1)
            await admin.query('update item set stock = stock + 1 where id = 1')
            await tx.update(1, { stock: 9 })
          },
          { isolation: 'repeatable read', retry: false },
        ),
      )
      assert.equal(sqlStateOf(conflict), '40001')
      assert.equal(classify(conflict), 'conflict')
      assert.equal(calls, 2)
    },
  },
]
