import assert from 'node:assert/strict'
import { classify, sqlStateOf, TransactionClosedError, TransactionRolledBackError } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { causesOf, committedItems, rejection } from '../expectations.js'
import type { Statements } from '../subject.js'

const levels = ['read committed', 'repeatable read', 'serializable'] as const
const level = "select current_setting('transaction_isolation') as level"

export const transactionCases: readonly Case[] = [
  {
    name: 'transaction: commits when its callback returns, and gives the value',
    async run(context) {
      const { handle } = context
      const value = await handle.withTransaction(async (tx, transaction) => {
        await tx.insert({ id: 1, name: 'tx' })
        await handle.insert({ id: 2, name: 'handle' })
        await transaction.query('insert into item (id, name) values (3, $1)', ['core'])
        assert.deepEqual(await committedItems(context), [])
        assert.equal((await tx.find(2))?.name, 'handle')
        return { kept: true }
      })
      assert.deepEqual(value, { kept: true })
      assert.deepEqual(await committedItems(context), [1, 2, 3])
    },
  },
  {
    name: 'transaction: rolls back when its callback throws, and rejects with that',
    async run(context) {
      const { handle } = context
      const thrown = new Error('undone')
      const error = await rejection(
        handle.withTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'tx' })
          await handle.insert({ id: 2, name: 'handle' })
          throw thrown
        }),
      )
      assert.equal(error, thrown)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'transaction: has the isolation, the access mode and the settings that were asked for',
    async run({ handle }) {
      for (const isolation of levels) {
        const [row] = await handle.withTransaction((tx) => tx.query<{ level: string }>(level), { isolation })
        assert.equal(row?.level, isolation)
      }
      const error = await rejection(
        handle.withTransaction((tx) => tx.insert({ id: 1, name: 'never' }), { readOnly: true }),
      )
      assert.equal(sqlStateOf(error), '25006')
      const [set] = await handle.withTransaction(
        (tx) => tx.query<{ tenant: string }>("select current_setting('app.tenant') as tenant"),
        { settings: { 'app.tenant': '42' } },
      )
      assert.equal(set?.tenant, '42')
      const [after] = await handle.query<{ tenant: string | null }>(
        "select nullif(current_setting('app.tenant', true), '') as tenant",
      )
      assert.equal(after?.tenant, null)
    },
  },
  {
    name: 'transaction: a failure that was swallowed is a rejection',
    async run(context) {
      const { handle } = context
      const error = await rejection(
        handle.withTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'lost' })
          await tx.insert({ id: 1, name: 'again' }).catch(() => undefined)
          return 'as if nothing had happened'
        }),
      )
      assert.ok(error instanceof TransactionRolledBackError, `${error.name}: ${error.message}`)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'transaction: its first error is the one that is reported',
    async run({ handle }) {
      const error = await rejection(
        handle.withTransaction(async (tx) => {
          await tx.query('select 1 / 0 as number').finally(() => tx.find(1).catch(() => undefined))
        }),
      )
      assert.equal(sqlStateOf(error), '22012')
      assert.equal(classify(error), 'user')
    },
  },
  {
    name: 'transaction: cannot be used when it is over',
    async run(context) {
      const { handle } = context
      let kept: Statements | undefined
      await handle.withTransaction(async (tx) => {
        kept = tx
        await tx.insert({ id: 1, name: 'in time' })
      })
      const error = await rejection(kept?.insert({ id: 2, name: 'too late' }) ?? Promise.resolve())
      assert.ok(error.message.length > 0)
      let late: Promise<unknown> | undefined
      const over = Promise.withResolvers<void>()
      await handle.withTransaction(async (tx) => {
        await tx.insert({ id: 3, name: 'in time' })
        late = rejection(over.promise.then(() => handle.insert({ id: 4, name: 'too late, in its context' })))
      })
      over.resolve()
      const inContext = await late
      assert.ok(
        causesOf(inContext).some((one) => one instanceof TransactionClosedError),
        String(inContext),
      )
      assert.deepEqual(await committedItems(context), [1, 3])
    },
  },
  {
    name: 'transaction: the ORM has its own, which commits and rolls back',
    async run(context) {
      const { handle } = context
      const value = await handle.ownTransaction(async (tx) => {
        await tx.insert({ id: 1, name: 'kept' })
        assert.deepEqual(await committedItems(context), [])
        return 'value'
      })
      assert.equal(value, 'value')
      const thrown = new Error('undone')
      const error = await rejection(
        handle.ownTransaction(async (tx) => {
          await tx.insert({ id: 2, name: 'lost' })
          throw thrown
        }),
      )
      assert.equal(error, thrown)
      for (const isolation of levels) {
        const [row] = await handle.ownTransaction((tx) => tx.query<{ level: string }>(level), isolation)
        assert.equal(row?.level, isolation)
      }
      assert.deepEqual(await committedItems(context), [1])
    },
  },
  {
    name: "transaction: a failure that was swallowed in the ORM's own is a rejection too",
    async run(context) {
      const { handle } = context
      await rejection(
        handle.ownTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'lost' })
          await tx.insert({ id: 1, name: 'again' }).catch(() => undefined)
        }),
      )
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'transaction: what happens after it is done once, and only for a commit',
    async run(context) {
      const { handle } = context
      const called: string[] = []
      await handle.withTransaction(async (tx, transaction) => {
        transaction.afterCommit(async () => {
          called.push(`committed ${(await committedItems(context)).join()}`)
        })
        transaction.afterRollback(() => void called.push('never'))
        await tx.insert({ id: 1, name: 'lamp' })
      })
      await rejection(
        handle.withTransaction(async (tx, transaction) => {
          transaction.afterCommit(() => void called.push('never'))
          transaction.afterRollback(() => void called.push('rolled back'))
          await tx.insert({ id: 1, name: 'again' })
        }),
      )
      assert.deepEqual(called, ['committed 1', 'rolled back'])
    },
  },
]
