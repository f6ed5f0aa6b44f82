import assert from 'node:assert/strict'
import { sqlStateOf } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { committedItems, rejection } from '../expectations.js'
import type { Handle } from '../subject.js'

const three = [
  { id: 1, name: 'lamp', stock: 1 },
  { id: 2, name: 'shade' },
  { id: 3, name: 'bulb' },
]

function batchOf(handle: Handle): NonNullable<Handle['batch']> {
  return handle.batch?.bind(handle) ?? assert.fail('batch is neither there nor absent')
}

export const batchCases: readonly Case[] = [
  {
    name: 'batch: all of it is done, in order, and each gives its result',
    async run(context) {
      const found = await batchOf(context.handle)(three, 1)
      assert.deepEqual(found, { id: 1, name: 'lamp', stock: 1, version: 1 })
      assert.deepEqual(await committedItems(context), [1, 2, 3])
    },
  },
  {
    name: 'batch: one that fails leaves nothing, and says what the server said',
    async run(context) {
      const error = await rejection(batchOf(context.handle)([...three, { id: 2, name: 'again' }], 1))
      assert.equal(sqlStateOf(error), '23505')
      assert.deepEqual(await committedItems(context), [])
      await batchOf(context.handle)(three, 1)
    },
  },
  {
    name: 'batch: inside of a transaction it belongs to it',
    async run(context) {
      const { handle } = context
      await rejection(
        handle.withTransaction(async () => {
          await batchOf(handle)(three, 1)
          assert.equal((await handle.find(3))?.name, 'bulb')
          assert.deepEqual(await committedItems(context), [])
          throw new Error('undone')
        }),
      )
      assert.deepEqual(await committedItems(context), [])
    },
  },
]
