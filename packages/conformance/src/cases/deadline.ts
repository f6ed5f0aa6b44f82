import assert from 'node:assert/strict'
import { OperationAbortedError, OperationTimeoutError } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { assertCode, causesOf, committedItems, rejection, untilQuiet, untilRunning } from '../expectations.js'

/** Runs for longer than any case would wait; the text is found in pg_stat_activity. */
const sleeping = 'select 1 as one from pg_sleep(60)'

export const deadlineCases: readonly Case[] = [
  {
    name: 'deadline: withDeadline ends what runs on the server',
    async run(context) {
      const { handle, pool } = context
      await handle.find(1)
      const error = await rejection(pool.withDeadline(() => handle.query(sleeping), { timeoutMs: 100 }))
      assertCode(error, 'LIFEGUARD_TIMEOUT')
      await untilQuiet(context)
      assert.equal(await handle.find(1), undefined)
    },
  },
  {
    name: 'deadline: what the ORM throws inside has the code of Lifeguard in its causes',
    async run(context) {
      const { handle, pool } = context
      await handle.find(1)
      let inner: Promise<Error> | undefined
      const outer = pool.withDeadline(
        async () => {
          inner = rejection(handle.query(sleeping))
          await inner
        },
        { timeoutMs: 100 },
      )
      await Promise.allSettled([outer])
      assertCode((await inner) ?? assert.fail('it never began'), 'LIFEGUARD_TIMEOUT', 'LIFEGUARD_ABORTED')
      await untilQuiet(context)
    },
  },
  {
    name: 'deadline: timeoutMs of a transaction ends it, and nothing of it stays',
    async run(context) {
      const { handle } = context
      await handle.find(1)
      const error = await rejection(
        handle.withTransaction(
          async (tx) => {
            await tx.insert({ id: 1, name: 'lost' })
            await tx.query(sleeping)
          },
          { timeoutMs: 300 },
        ),
      )
      assert.ok(error instanceof OperationTimeoutError, `${error.name}: ${error.message}`)
      await untilQuiet(context)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'deadline: a signal aborts a transaction, on the server too',
    async run(context) {
      const { handle } = context
      const controller = new AbortController()
      const running = rejection(
        handle.withTransaction(
          async (tx) => {
            await tx.insert({ id: 1, name: 'lost' })
            await tx.query(sleeping)
          },
          { signal: controller.signal },
        ),
      )
      await untilRunning(context, sleeping)
      controller.abort(new Error('enough'))
      const error = await running
      assert.ok(error instanceof OperationAbortedError, `${error.name}: ${error.message}`)
      await untilQuiet(context)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: "deadline: in the ORM's own transactions it is what ends them, whatever they are begun with",
    async run(context) {
      const { handle, pool } = context
      for (const [way, run] of Object.entries(handle.ownTransactions)) {
        for (const texts of [[sleeping], ['insert into item (id, name) values (1, $$lost$$)', sleeping]]) {
          // Connecting is no part of the time, of which a busy machine may need all.
          await handle.find(1)
          let inner: Promise<Error> | undefined
          const outer = pool.withDeadline(
            async () => {
              inner = rejection(run(texts))
              throw await inner
            },
            { timeoutMs: 200 },
          )
          assertCode(await rejection(outer), 'LIFEGUARD_TIMEOUT')
          const error = (await inner) ?? assert.fail('it never began')
          assert.ok(
            causesOf(error).some((one) => one instanceof OperationTimeoutError),
            `${way}: ${error.name}: ${error.message}`,
          )
          await untilQuiet(context)
        }
      }
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: "deadline: of the ORM's own transactions it is slow, and no failure of the host",
    async run(context) {
      const { handle, pool } = await context.openPool({ breaker: { minCalls: 1_000 } })
      const codes: unknown[] = []
      pool.on('query', ({ error }) => {
        if (error !== undefined) codes.push(error.code)
      })
      for (const run of Object.values(handle.ownTransactions)) {
        for (let call = 0; call < 5; call++) {
          // Connecting is no part of the time.
          await handle.find(1)
          await rejection(pool.withDeadline(() => run(['select 1 as one', sleeping]), { timeoutMs: 60 }))
        }
      }
      await untilQuiet({ ...context, pool })
      const { failures, slow } = pool.stats().servers[0]?.breaker ?? assert.fail('no breaker')
      // With the word of the server its code is that one's. A busy machine may be late with it: then it looks like a host
      // that gives none.
      const silent = codes.filter((code) => code === 'LIFEGUARD_TIMEOUT').length
      assert.deepEqual(
        [...new Set(codes)].filter((code) => code !== '57014' && code !== 'LIFEGUARD_TIMEOUT'),
        [],
      )
      assert.ok(failures <= silent, `${failures} failures of the host, which was silent ${silent} times`)
      assert.ok(slow + silent > 0, 'nothing was slow: the case is no case')
    },
  },
  {
    name: 'deadline: one that has come before sends nothing',
    async run(context) {
      const { handle, pool } = context
      const error = await rejection(
        pool.withDeadline(
          async ({ signal }) => {
            while (!signal.aborted) await new Promise(setImmediate)
            await handle.insert({ id: 1, name: 'never' })
          },
          { timeoutMs: 5 },
        ),
      )
      assertCode(error, 'LIFEGUARD_TIMEOUT')
      await untilQuiet(context)
      assert.deepEqual(await committedItems(context), [])
    },
  },
  {
    name: 'deadline: in fanOut the first failure ends the others on the server',
    async run(context) {
      const { handle, pool } = context
      const error = await rejection(
        pool.fanOut({
          slow: () => handle.query(sleeping),
          failing: async () => {
            await untilRunning(context, sleeping)
            throw new Error('the first to fail')
          },
        }),
      )
      assert.equal(error.message, 'the first to fail')
      await untilQuiet(context)
    },
  },
  {
    name: 'deadline: the wait for a connection is bounded, and says so',
    async run(context) {
      const { pool, handle } = await context.openPool({ max: 1 })
      {
        await using _held = await pool.acquire()
        let inner: Promise<Error> | undefined
        const outer = pool.withDeadline(
          async () => {
            inner = rejection(handle.find(1))
            await inner
          },
          { timeoutMs: 50 },
        )
        await Promise.allSettled([outer])
        assertCode((await inner) ?? assert.fail('it never began'), 'LIFEGUARD_ACQUIRE_TIMEOUT')
      }
      assert.equal(await handle.find(1), undefined)
    },
  },
  {
    name: 'abort: the signal of one query ends it on the server',
    async run(context) {
      const { handle } = context
      const controller = new AbortController()
      const running = rejection(
        handle.abortable?.(sleeping, controller.signal) ?? Promise.resolve('abortable is neither there nor absent'),
      )
      await untilRunning(context, sleeping)
      controller.abort(new Error('enough'))
      await running
      await untilQuiet(context)
      assert.equal(await handle.find(1), undefined)
    },
  },
]
