import assert from 'node:assert/strict'
import { sqlStateOf } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { committedItems, rejection } from '../expectations.js'

/** What a callback may meet beside its transaction, each made anew. */
const foreign: Readonly<Record<string, () => Error>> = {
  'a socket of its own': () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }),
  'a file of its own': () => Object.assign(new Error('EPIPE: broken pipe'), { code: 'EPIPE', errno: -32 }),
  'a socket, as the cause': () =>
    new Error('charge failed', { cause: Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT' }) }),
  'a conflict of another database': () => Object.assign(new Error('could not serialize access'), { code: '40001' }),
  'a deadlock of another database, as the cause': () =>
    new Error('failed', { cause: Object.assign(new Error('deadlock detected'), { code: '40P01' }) }),
  'the end of a session of another database': () =>
    Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' }),
  'a write conflict of another Prisma': () =>
    Object.assign(new Error('TransactionWriteConflict'), {
      name: 'DriverAdapterError',
      cause: { kind: 'TransactionWriteConflict', originalCode: '40001' },
    }),
  'a known error of another Prisma': () =>
    Object.assign(new Error('write conflict'), {
      code: 'P2034',
      meta: { driverAdapterError: { cause: { kind: 'TransactionWriteConflict', originalCode: '40001' } } },
    }),
  'a stale plan of another database': () =>
    Object.assign(new Error('cached plan must not change result type'), {
      code: '0A000',
      routine: 'RevalidateCachedQuery',
    }),
}

export const foreignCases: readonly Case[] = [
  {
    name: 'foreign: an error that is none of this database is thrown as it is, and the callback runs once',
    async run(context) {
      const { handle } = context
      for (const [what, make] of Object.entries(foreign)) {
        let calls = 0
        const thrown = make()
        const error = await rejection(
          handle.withTransaction(async (tx) => {
            calls += 1
            await tx.insert({ id: 1, name: 'undone' })
            throw thrown
          }),
        )
        assert.equal(error, thrown, what)
        assert.equal(calls, 1, what)
      }
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'foreign: an error of another pool is none of this one',
    async run(context) {
      const { handle } = context
      const other = await context.openPool()
      await handle.insert({ id: 1, name: 'counter' })
      let calls = 0
      const error = await rejection(
        handle.withTransaction(async (tx) => {
          calls += 1
          await tx.find(1)
          await other.handle.withTransaction(
            async (theirs) => {
              await theirs.find(1)
              await context.admin.query('update item set stock = stock + 1 where id = 1')
              await theirs.update(1, { stock: 9 })
            },
            { isolation: 'repeatable read', retry: false },
          )
        }),
      )
      assert.equal(sqlStateOf(error), '40001')
      assert.equal(calls, 1)
    },
  },
  {
    name: 'foreign: a conflict of this database is one, however the callback wraps it',
    async run({ handle, admin }) {
      await handle.insert({ id: 1, name: 'counter' })
      const wraps: readonly ((error: unknown) => unknown)[] = [
        (error) => error,
        (error) => new Error('could not reserve', { cause: error }),
        () => new TypeError('of something else that came of it'),
      ]
      for (const wrap of wraps) {
        let calls = 0
        await handle.withTransaction(
          async (tx) => {
            calls += 1
            await tx.find(1)
            if (calls === 1) await admin.query('update item set stock = stock + 1 where id = 1')
            try {
              await tx.update(1, { stock: 5 })
            } catch (error) {
              throw wrap(error)
            }
          },
          { isolation: 'repeatable read' },
        )
        assert.equal(calls, 2)
      }
    },
  },
  {
    name: 'foreign: a transaction whose prepared statement was out of date is run again',
    async run({ pool, handle, admin }) {
      await handle.insert({ id: 1, name: 'lamp' })
      // Prepared under the transaction's own connection; then the table changes over a session that the pool knows nothing of.
      const text = 'select * from item where id = $1'
      await admin.query('alter table item add column extra int')
      try {
        for (let call = 0; call < 3; call++) {
          await handle.withTransaction(async (tx) => {
            await tx.query(text, [1])
            await tx.query(text, [1])
          })
        }
        const attempts: number[] = []
        let isChanged = false
        const rows = await handle.withTransaction(async (tx, transaction) => {
          attempts.push(transaction.attempt)
          await tx.query('select 1 as one')
          if (!isChanged) await admin.query('alter table item drop column extra')
          isChanged = true
          return await tx.query<object>(text, [1])
        })
        assert.deepEqual(attempts, [1, 2])
        assert.equal(pool.stats().retries, 1)
        assert.deepEqual(rows, [{ id: 1, name: 'lamp', stock: 0, version: 1 }])
      } finally {
        await admin.query('alter table item drop column if exists extra')
      }
    },
  },
]
