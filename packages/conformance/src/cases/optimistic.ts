import assert from 'node:assert/strict'
import { VersionConflictError } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { assertCode, rejection } from '../expectations.js'

export const optimisticCases: readonly Case[] = [
  {
    name: 'optimistic: the key is compared by the operators of the server, whoever else has some',
    async run({ handle, admin }) {
      await admin.query(`
        drop schema if exists stranger cascade;
        create schema stranger;
        create function stranger.same(int, int) returns boolean language sql as 'select true';
        create operator stranger.= (function = stranger.same, leftarg = int, rightarg = int);`)
      try {
        await handle.insert({ id: 1, name: 'lamp' })
        await handle.insert({ id: 2, name: 'shade' })
        const settings = { search_path: 'stranger, public, pg_catalog' }
        const change = (version: number): Promise<unknown> =>
          handle.withTransaction(() => handle.updateVersioned({ id: 1, version }, { stock: 3 }), { settings })
        assertCode(await rejection(change(7)), 'LIFEGUARD_VERSION_CONFLICT')
        assert.deepEqual(await change(1), { id: 1, name: 'lamp', stock: 3, version: 2 })
        assert.deepEqual(await handle.find(2), { id: 2, name: 'shade', stock: 0, version: 1 })
      } finally {
        await admin.query('drop schema stranger cascade')
      }
    },
  },
  {
    name: 'optimistic: versions are counted by the operators of the server, whoever else has some',
    async run({ handle, admin }) {
      await admin.query(`
        drop schema if exists stranger cascade;
        create schema stranger;
        create function stranger.plus(int, int) returns int language sql as 'select 666';
        create operator stranger.+ (function = stranger.plus, leftarg = int, rightarg = int);
        create table stranger.pg_class (oid oid, relname name);`)
      try {
        await handle.insert({ id: 1, name: 'lamp' })
        await handle.insert({ id: 2, name: 'shade' })
        const search_path = 'stranger, public, pg_catalog'
        const changed = await handle.withTransaction(
          () => handle.updateVersioned({ id: 1, version: 1 }, { stock: 3 }),
          { settings: { search_path } },
        )
        assert.deepEqual(changed, { id: 1, name: 'lamp', stock: 3, version: 2 })
        assert.deepEqual(await handle.find(2), { id: 2, name: 'shade', stock: 0, version: 1 })
      } finally {
        await admin.query('drop schema stranger cascade')
      }
    },
  },
  {
    name: 'optimistic: updateVersioned changes the version that was read, and no other',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'lamp' })
      await handle.insert({ id: 2, name: 'other' })
      assert.deepEqual(await handle.updateVersioned({ id: 1, version: 1 }, { stock: 5 }), {
        id: 1,
        name: 'lamp',
        stock: 5,
        version: 2,
      })
      const error = await rejection(handle.updateVersioned({ id: 1, version: 1 }, { stock: 6 }))
      assert.ok(error instanceof VersionConflictError, `${error.name}: ${error.message}`)
      const gone = await rejection(handle.updateVersioned({ id: 9, version: 1 }, { stock: 6 }))
      assert.ok(gone instanceof VersionConflictError, `${gone.name}: ${gone.message}`)
      assert.equal((await handle.find(1))?.stock, 5)
      assert.equal((await handle.find(2))?.version, 1)
    },
  },
  {
    name: 'optimistic: no update is lost among concurrent ones',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'counter' })
      await Promise.all(
        Array.from({ length: 12 }, () =>
          handle.withOptimisticRetry(
            async () => {
              const { id, version, stock } = (await handle.find(1)) ?? assert.fail('the row is gone')
              await handle.updateVersioned({ id, version }, { stock: stock + 1 })
            },
            { attempts: 200 },
          ),
        ),
      )
      assert.deepEqual(await handle.find(1), { id: 1, name: 'counter', stock: 12, version: 13 })
    },
  },
  {
    name: 'optimistic: gives up after its attempts, with the conflict, and at once for any other error',
    async run({ handle }) {
      await handle.insert({ id: 1, name: 'lamp' })
      const attempts: number[] = []
      const error = await rejection(
        handle.withOptimisticRetry(
          async ({ attempt }) => {
            attempts.push(attempt)
            await handle.updateVersioned({ id: 1, version: 99 }, { stock: 1 })
          },
          { attempts: 3 },
        ),
      )
      assert.ok(error instanceof VersionConflictError, `${error.name}: ${error.message}`)
      assert.deepEqual(attempts, [1, 2, 3])
      const thrown = new Error('of the callback')
      let calls = 0
      const other = await rejection(
        handle.withOptimisticRetry(async () => {
          calls += 1
          throw thrown
        }),
      )
      assert.equal(other, thrown)
      assert.equal(calls, 1)
    },
  },
]
