import assert from 'node:assert/strict'
import type { Case, Opened } from '../case.js'
import { committedItems, until, untilQuiet } from '../expectations.js'

const sleeping = 'select 1 as one from pg_sleep(60)'

/** Work that ends badly, each in another way. */
function failing({ pool, handle }: Opened, id: number): readonly (() => Promise<unknown>)[] {
  return [
    () => handle.query('select 1 / 0 as number'),
    () => handle.insert({ id: 1, name: 'again' }),
    () => handle.withTransaction((tx) => tx.insert({ id: 1, name: 'again' })),
    () => handle.ownTransaction((tx) => tx.query('select 1 / 0 as number')),
    () =>
      handle.withTransaction(async (tx) => {
        await tx.insert({ id, name: 'lost' })
        throw new Error('undone')
      }),
    () => handle.ownTransaction(() => Promise.reject(new Error('undone before it began'))),
    () => pool.withDeadline(() => handle.query(sleeping), { timeoutMs: 20 }),
    () => handle.withTransaction((tx) => tx.query(sleeping), { timeoutMs: 20 }),
    () => handle.withTransaction(() => handle.query(sleeping), { signal: AbortSignal.timeout(20) }),
    () => handle.query('select pg_terminate_backend(pg_backend_pid())::text as killed'),
    () =>
      handle.withTransaction((tx) => tx.query('select pg_terminate_backend(pg_backend_pid())::text as killed'), {
        retry: false,
      }),
    () => handle.ownTransaction((tx) => tx.query('select pg_terminate_backend(pg_backend_pid())::text as killed')),
    () => handle.withLock('storm', () => Promise.reject(new Error('under the lock')), { waitMs: 10_000 }),
    () =>
      handle.withOptimisticRetry(() => handle.updateVersioned({ id: 1, version: 99 }, { stock: 1 }), { attempts: 2 }),
  ]
}

export const leaksCases: readonly Case[] = [
  {
    name: 'leaks: a storm of work that fails, is aborted and is killed leaves nothing',
    async run(context) {
      // So many sessions that end are a reason for a circuit breaker to open, which has a case of its own.
      const opened = await context.openPool({ breaker: false })
      const { handle, pool } = opened
      await handle.insert({ id: 1, name: 'lamp' })
      const storm = Array.from({ length: 6 }, (_, round) => failing(opened, 100 + round)).flat()
      const outcomes = await Promise.allSettled(storm.map((work) => work()))
      const succeeded = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [String(storm[index])] : []))
      assert.deepEqual(succeeded, [])
      await untilQuiet(context)
      await until(async () => {
        const {
          waits: { waiting },
          pool: { active, total },
        } = pool.stats()
        return waiting === 0 && active === 0 && total === (await context.sessions()).length
      }, 'the pool to be quiet, and to have noticed what it has lost')
      assert.deepEqual(await committedItems(context), [1])
      // All places of the pool can still be used, at the same time.
      const inside = new Set<number>()
      const allAreIn = Promise.withResolvers<void>()
      await Promise.all(
        Array.from({ length: pool.stats().pool.max }, (_, index) =>
          handle.withTransaction(async (tx) => {
            await tx.insert({ id: 200 + index, name: 'kept' })
            inside.add(index)
            if (inside.size === pool.stats().pool.max) allAreIn.resolve()
            await allAreIn.promise
          }),
        ),
      )
      assert.deepEqual(await committedItems(context), [1, 200, 201, 202, 203])
      await pool.end()
      assert.deepEqual(await context.sessions(), [])
    },
  },
]
