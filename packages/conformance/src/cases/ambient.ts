import assert from 'node:assert/strict'
import type { Case } from '../case.js'
import { committedItems, rejection } from '../expectations.js'

export const ambientCases: readonly Case[] = [
  {
    name: "ambient: the ORM joins the pool's transaction, and the pool the ORM's",
    async run(context) {
      const { handle, pool } = context
      await pool.withTransaction(async () => {
        await pool.query("insert into item (id, name) values (1, 'pool')")
        assert.equal((await handle.find(1))?.name, 'pool')
        await handle.insert({ id: 2, name: 'handle' })
        const { rows } = await pool.query('select name from item where id = 2')
        assert.deepEqual(rows, [{ name: 'handle' }])
        assert.deepEqual(await committedItems(context), [])
        assert.equal(pool.stats().pool.active, 1)
      })
      await handle.withTransaction(async (tx) => {
        await tx.insert({ id: 3, name: 'tx' })
        const { rows } = await pool.query('select name from item where id = 3')
        assert.deepEqual(rows, [{ name: 'tx' }])
        assert.equal((await handle.find(3))?.name, 'tx')
      })
      assert.deepEqual(await committedItems(context), [1, 2, 3])
    },
  },
  {
    name: 'ambient: nothing from outside joins, and nothing inside leaves',
    async run(context) {
      const { handle, pool } = context
      const insideNow = Promise.withResolvers<void>()
      const outsideIsDone = Promise.withResolvers<void>()
      const inside = rejection(
        handle.withTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'inside' })
          insideNow.resolve()
          await outsideIsDone.promise
          await Promise.all([2, 3, 4, 5, 6].map((id) => handle.insert({ id, name: 'inside, side by side' })))
          throw new Error('undone')
        }),
      )
      await insideNow.promise
      assert.equal(await handle.find(1), undefined)
      await handle.insert({ id: 10, name: 'outside' })
      await handle.ownTransaction((own) => own.insert({ id: 11, name: 'outside' }))
      await pool.query("insert into item (id, name) values (12, 'outside')")
      outsideIsDone.resolve()
      assert.equal((await inside).message, 'undone')
      assert.deepEqual(await committedItems(context), [10, 11, 12])
    },
  },
  {
    name: 'ambient: reads of one tick, inside and outside, keep apart',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'before' })
      const changed = Promise.withResolvers<void>()
      const bothAsk = Promise.withResolvers<void>()
      const bothKnow = Promise.withResolvers<void>()
      const inside = handle.withTransaction(async (tx) => {
        await tx.update(1, { name: 'after' })
        changed.resolve()
        await bothAsk.promise
        const item = await handle.find(1)
        await bothKnow.promise
        return item?.name
      })
      await changed.promise
      const outside = bothAsk.promise.then(() => handle.find(1))
      bothAsk.resolve()
      assert.equal((await outside)?.name, 'before')
      bothKnow.resolve()
      assert.equal(await inside, 'after')
      assert.equal((await handle.find(1))?.name, 'after')
    },
  },
  {
    name: 'ambient: outsideTransaction leaves it',
    async run(context) {
      const { handle, pool } = context
      await rejection(
        handle.withTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'lost' })
          await pool.outsideTransaction(() => handle.insert({ id: 2, name: 'kept' }))
          throw new Error('undone')
        }),
      )
      assert.deepEqual(await committedItems(context), [2])
    },
  },
]
