import assert from 'node:assert/strict'
import type { Case } from '../case.js'
import { assertCode, committedItems, rejection } from '../expectations.js'

export const shutdownCases: readonly Case[] = [
  {
    name: 'shutdown: end waits for what runs, and later calls are rejected',
    async run(context) {
      const { handle, pool, sessions } = context
      const begun = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const running = handle.withTransaction(async (tx) => {
        await tx.insert({ id: 1, name: 'begun' })
        begun.resolve()
        await goOn.promise
        await tx.insert({ id: 2, name: 'finished' })
        return 'done'
      })
      await begun.promise
      let isEnded = false
      const ended = pool.end().then(() => {
        isEnded = true
      })
      const late: readonly (() => Promise<unknown>)[] = [
        () => handle.find(1),
        () => handle.insert({ id: 3, name: 'late' }),
        () => handle.withTransaction((tx) => tx.insert({ id: 3, name: 'late' })),
        () => handle.ownTransaction((tx) => tx.insert({ id: 3, name: 'late' })),
        () => handle.withLock('late', async () => undefined),
      ]
      for (const call of late) assertCode(await rejection(call()), 'LIFEGUARD_POOL_CLOSED')
      assert.equal(isEnded, false)
      goOn.resolve()
      assert.equal(await running, 'done')
      await ended
      for (const call of late) assertCode(await rejection(call()), 'LIFEGUARD_POOL_CLOSED')
      assert.deepEqual(await committedItems(context), [1, 2])
      assert.deepEqual(await sessions(), [])
    },
  },
  {
    name: 'shutdown: a fast end cuts off what runs, and rejects it',
    async run(context) {
      const { handle, pool, sessions } = context
      const begun = Promise.withResolvers<void>()
      const running = rejection(
        handle.withTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'lost' })
          begun.resolve()
          await tx.query('select 1 as one from pg_sleep(60)')
        }),
      )
      await begun.promise
      await pool.end({ mode: 'fast' })
      const error = await running
      assertCode(error, 'LIFEGUARD_CONNECTION_LOST', 'LIFEGUARD_POOL_CLOSED')
      assert.deepEqual(await sessions(), [])
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'shutdown: closing the ORM leaves the pool to its other users',
    async run(context) {
      const { handle, pool } = context
      await handle.insert({ id: 1, name: 'lamp' })
      await handle.close()
      assert.equal((await pool.query('select 1 from item')).rowCount, 1)
    },
  },
]
