import assert from 'node:assert/strict'
import { sqlStateOf } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { committedItems, rejection } from '../expectations.js'

export const savepointCases: readonly Case[] = [
  {
    name: 'savepoint: a nested transaction that fails is undone alone',
    async run(context) {
      const { handle } = context
      await handle.withTransaction(async (tx) => {
        await tx.insert({ id: 1, name: 'outer' })
        const error = await rejection(
          handle.withTransaction(async (nested) => {
            await nested.insert({ id: 2, name: 'inner' })
            await nested.insert({ id: 1, name: 'again' })
          }),
        )
        assert.equal(sqlStateOf(error), '23505')
        assert.equal(await tx.find(2), undefined)
        await handle.withTransaction(async (nested) => {
          await nested.insert({ id: 3, name: 'inner' })
          await rejection(
            handle.withTransaction(async (deeper) => {
              await deeper.insert({ id: 4, name: 'innermost' })
              throw new Error('undone')
            }),
          )
        })
      })
      assert.deepEqual(await committedItems(context), [1, 3])
    },
  },
  {
    name: 'savepoint: goes with the transaction around it',
    async run(context) {
      const { handle } = context
      await rejection(
        handle.withTransaction(async (tx) => {
          await handle.withTransaction((nested) => nested.insert({ id: 1, name: 'inner' }))
          assert.equal((await tx.find(1))?.name, 'inner')
          throw new Error('undone')
        }),
      )
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: "savepoint: the ORM's own transaction is one inside of another",
    async run(context) {
      const { handle, pool } = context
      await pool.withTransaction(async () => {
        await handle.insert({ id: 1, name: 'outer' })
        await handle.ownTransaction(async (own) => {
          await own.insert({ id: 2, name: 'kept' })
        })
        await rejection(
          handle.ownTransaction(async (own) => {
            await own.insert({ id: 3, name: 'lost' })
            throw new Error('undone')
          }),
        )
        await rejection(handle.ownTransaction((own) => own.insert({ id: 1, name: 'again' })))
        assert.deepEqual(await committedItems(context), [])
        assert.equal(pool.stats().pool.active, 1)
      })
      assert.deepEqual(await committedItems(context), [1, 2])
    },
  },
  {
    name: "savepoint: the helper's transaction inside of the pool's, and the other way round",
    async run(context) {
      const { handle, pool } = context
      await pool.withTransaction(async () => {
        await handle.withTransaction((tx) => tx.insert({ id: 1, name: 'helper' }))
        await rejection(
          handle.withTransaction(async (tx) => {
            await tx.insert({ id: 2, name: 'lost' })
            throw new Error('undone')
          }),
        )
      })
      await handle.withTransaction(async (tx) => {
        await rejection(
          pool.withTransaction(async () => {
            await tx.insert({ id: 3, name: 'lost' })
            throw new Error('undone')
          }),
        )
        await tx.insert({ id: 4, name: 'kept' })
      })
      assert.deepEqual(await committedItems(context), [1, 4])
    },
  },
]
