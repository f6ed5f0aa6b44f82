import assert from 'node:assert/strict'
import { LockLostError } from '@pg-lifeguard/core'
import type { Case, CaseContext } from '../case.js'
import { assertCode, rejection, until } from '../expectations.js'

/** The sessions that hold advisory locks in this database. */
async function holders({ admin }: CaseContext): Promise<readonly number[]> {
  const { rows } = await admin.query<{ pid: number }>(
    `select distinct pid from pg_locks
      where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())`,
  )
  return rows.map(({ pid }) => pid)
}

export const lockCases: readonly Case[] = [
  {
    name: 'lock: one at a time holds it, on all pools',
    async run(context) {
      const { handle, openPool } = context
      const other = await openPool()
      let holding = 0
      let most = 0
      const work = async (): Promise<void> => {
        holding += 1
        most = Math.max(most, holding)
        const { stock } = (await handle.find(1)) ?? assert.fail('the row is gone')
        await handle.update(1, { stock: stock + 1 })
        holding -= 1
      }
      await handle.insert({ id: 1, name: 'counter' })
      await Promise.all(
        Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? handle : other.handle).withLock('one', work)),
      )
      assert.equal(most, 1)
      assert.equal((await handle.find(1))?.stock, 12)
    },
  },
  {
    name: 'lock: gives the value and the fencing token, is free afterwards, also after a failure',
    async run({ handle, openPool }) {
      const first = await handle.withLock('token', async ({ fencingToken }) => fencingToken.xid)
      const thrown = new Error('of the callback')
      const error = await rejection(
        handle.withLock('token', async () => {
          throw thrown
        }),
      )
      assert.equal(error, thrown)
      const other = await openPool()
      const second = await other.handle.withLock('token', async ({ fencingToken }) => fencingToken.xid)
      assert.ok(second > first)
    },
  },
  {
    name: 'lock: signal aborts when the session that holds it is killed',
    async run(context) {
      const { handle, kill } = context
      const error = await rejection(
        handle.withLock('lost', async ({ signal }) => {
          const held = await holders(context)
          assert.equal(held.length, 1)
          for (const pid of held) await kill(pid)
          await until(() => signal.aborted, 'the signal of the lock')
          assert.ok(signal.reason instanceof LockLostError, String(signal.reason))
          signal.throwIfAborted()
        }),
      )
      assertCode(error, 'LIFEGUARD_LOCK_LOST')
      assert.equal(await handle.withLock('lost', async () => 'again'), 'again')
    },
  },
  {
    name: 'lock: waits no longer than waitMs, and tryWithLock not at all',
    async run({ handle, openPool }) {
      const other = await openPool()
      await handle.withLock('busy', async () => {
        assertCode(
          await rejection(other.handle.withLock('busy', async () => 'never', { waitMs: 20 })),
          'LIFEGUARD_LOCK_TIMEOUT',
        )
        assert.deepEqual(await other.handle.tryWithLock('busy', async () => 'never'), { acquired: false })
        assert.deepEqual(await other.handle.tryWithLock('free', async () => 'value'), {
          acquired: true,
          value: 'value',
        })
      })
      assert.deepEqual(await other.handle.tryWithLock('busy', async () => 7), { acquired: true, value: 7 })
    },
  },
  {
    name: 'lock: a semaphore lets in as many as it has places',
    async run({ handle, openPool }) {
      const other = await openPool({ max: 8 })
      let inside = 0
      let most = 0
      const bothAreIn = Promise.withResolvers<void>()
      const work = async (): Promise<void> => {
        inside += 1
        most = Math.max(most, inside)
        if (inside === 2) bothAreIn.resolve()
        await bothAreIn.promise
        await handle.find(1)
        inside -= 1
      }
      await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          (index % 2 === 0 ? handle : other.handle).withSemaphore('export', 2, work),
        ),
      )
      assert.equal(most, 2)
    },
  },
]
