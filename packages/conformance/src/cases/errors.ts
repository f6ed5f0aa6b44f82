import assert from 'node:assert/strict'
import { sqlStateOf } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { rejection } from '../expectations.js'

export const errorsCases: readonly Case[] = [
  {
    name: 'errors: the SQLSTATE is found in the same way',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'lamp' })
      const failing: readonly [string, () => Promise<unknown>][] = [
        ['23505', () => handle.insert({ id: 1, name: 'again' })],
        ['23502', () => handle.query('insert into item (id, name) values ($1, null)', [2])],
        ['23503', () => handle.query('insert into part (id, item_id) values ($1, $2)', [1, 99])],
        ['22P02', () => handle.query('select $1::text::int as number', ['seven'])],
        ['22012', () => handle.query('select 1 / $1::int as number', [0])],
        ['42P01', () => handle.query('select 1 as one from no_such_table')],
        ['42601', () => handle.query('selekt 1')],
        ['P0001', () => handle.query(`do $$ begin raise exception 'of our own'; end $$`)],
      ]
      for (const [state, fail] of failing) {
        assert.equal(sqlStateOf(await rejection(fail())), state)
      }
      assert.equal((await handle.find(1))?.name, 'lamp')
    },
  },
  {
    name: 'errors: a plain error costs no connection',
    async run({ handle, pool, sessions }) {
      await handle.insert({ id: 1, name: 'lamp' })
      const before = (await sessions()).map(({ pid }) => pid)
      for (let round = 0; round < 12; round++) {
        await rejection(handle.insert({ id: 1, name: 'again' }))
        await rejection(handle.query('select 1 / 0 as number'))
        await rejection(handle.withTransaction((tx) => tx.query('select 1 / 0 as number')))
        await rejection(handle.ownTransaction((tx) => tx.insert({ id: 1, name: 'again' })))
      }
      assert.deepEqual(
        (await sessions()).map(({ pid }) => pid),
        before,
      )
      assert.equal(pool.stats().pool.total, before.length)
      assert.equal((await handle.find(1))?.name, 'lamp')
    },
  },
  {
    name: 'errors: the stack leads to the line that called',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'lamp' })
      for (const fail of [duplicate, divide]) {
        const error = await rejection(fail(handle))
        const frames = causes(error).map(({ stack = '' }) => stack)
        assert.ok(
          frames.some((stack) => stack.includes(fail.name)),
          `no stack leads to ${fail.name}:\n${frames.join('\ncaused by ')}`,
        )
      }
    },
  },
]

async function duplicate(handle: Parameters<Case['run']>[0]['handle']): Promise<void> {
  await handle.insert({ id: 1, name: 'again' })
}

async function divide(handle: Parameters<Case['run']>[0]['handle']): Promise<void> {
  await handle.query('select 1 / 0 as number')
}

function causes(error: Error): readonly Error[] {
  return error.cause instanceof Error ? [error, ...causes(error.cause)] : [error]
}
