import assert from 'node:assert/strict'
import { CommitUnknownError, classify } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { committedItems, rejection, until, untilRunning } from '../expectations.js'
import type { Statements } from '../subject.js'

async function pidOf(on: Statements): Promise<number> {
  const [row] = await on.query<{ pid: number }>('select pg_backend_pid() as pid')
  return row?.pid ?? assert.fail('the server did not say who it is')
}

export const killsCases: readonly Case[] = [
  {
    name: 'kills: a backend that is killed in a transaction costs a retry',
    async run(context) {
      const { handle, kill } = context
      const attempts: number[] = []
      await handle.withTransaction(async (tx, { attempt }) => {
        attempts.push(attempt)
        await tx.insert({ id: 1, name: 'lamp' })
        if (attempt === 1) await kill(await pidOf(tx))
        await tx.insert({ id: 2, name: 'shade' })
      })
      assert.deepEqual(attempts, [1, 2])
      assert.deepEqual(await committedItems(context), [1, 2])
    },
  },
  {
    name: 'kills: without retries the error is reported, and nothing of it stays',
    async run(context) {
      const { handle, kill } = context
      const error = await rejection(
        handle.withTransaction(
          async (tx) => {
            await tx.insert({ id: 1, name: 'lost' })
            await kill(await pidOf(tx))
            await tx.insert({ id: 2, name: 'lost' })
          },
          { retry: false },
        ),
      )
      assert.ok(['connection', 'unavailable'].includes(classify(error)), `${classify(error)}: ${error.message}`)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: "kills: in the ORM's own transaction the error is reported, and nothing of it stays",
    async run(context) {
      const { handle, kill } = context
      const error = await rejection(
        handle.ownTransaction(async (tx) => {
          await tx.insert({ id: 1, name: 'lost' })
          await kill(await pidOf(tx))
          await tx.insert({ id: 2, name: 'lost' })
        }),
      )
      assert.ok(['connection', 'unavailable'].includes(classify(error)), `${classify(error)}: ${error.message}`)
      assert.deepEqual(await committedItems(context), [])
      await handle.insert({ id: 3, name: 'kept' })
    },
  },
  {
    name: 'kills: a statement that was killed is reported to its caller alone',
    async run(context) {
      const { handle, kill, sessions } = context
      // No read, which would be sent once more.
      const text = 'select txid_current() is null as no from pg_sleep(60)'
      const running = rejection(handle.query(text))
      await untilRunning(context, text)
      const [victim] = (await sessions()).filter(({ query }) => query.includes(text))
      const others = Promise.all([1, 2, 3].map((id) => handle.insert({ id, name: 'other' })))
      await kill(victim?.pid ?? assert.fail('it does not run'))
      const error = await running
      assert.ok(['connection', 'unavailable'].includes(classify(error)), `${classify(error)}: ${error.message}`)
      await others
      assert.deepEqual(await committedItems(context), [1, 2, 3])
    },
  },
  {
    name: "kills: idle connections that are killed are nobody's concern",
    async run(context) {
      const { handle, pool, kill, sessions } = context
      for (let round = 0; round < 3; round++) {
        await Promise.all([1, 2, 3, 4].map(() => handle.find(1)))
        const killed = (await sessions()).map(({ pid }) => pid)
        for (const pid of killed) await kill(pid)
        // A statement that is on its way when the session ends is rejected; here none is.
        await until(async () => {
          const left = await sessions()
          return !left.some(({ pid }) => killed.includes(pid)) && pool.stats().pool.total <= left.length
        }, 'the sessions to be gone, and missed')
        await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => handle.find(1)))
      }
    },
  },
  {
    name: 'kills: a COMMIT whose answer is lost is unknown, and proven when that was asked for',
    async run(context) {
      const { openProxy, openPool } = context
      const proxy = await openProxy()
      const { handle } = await openPool({ connectionString: proxy.url, max: 2 })
      const commit = (id: number, proveCommit: boolean): Promise<number> =>
        handle.withTransaction((tx) => tx.insert({ id, name: 'committed' }), { proveCommit })
      await handle.find(1)
      const cut = await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
      const error = await rejection(commit(1, false))
      await cut.fired
      assert.ok(error instanceof CommitUnknownError, `${error.name}: ${error.message}`)
      const cutAgain = await proxy.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
      assert.equal(await commit(2, true), 1)
      await cutAgain.fired
      await until(async () => (await committedItems(context)).length === 2, 'both to be committed')
    },
  },
]
