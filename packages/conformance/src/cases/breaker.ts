import assert from 'node:assert/strict'
import type { Case } from '../case.js'
import { assertCode, rejection, until } from '../expectations.js'

const steady = { minCalls: 5, openMs: 60_000, maxOpenMs: 60_000 }

export const breakerCases: readonly Case[] = [
  {
    name: 'breaker: with the host dead every call fails at once, and says why',
    async run({ openProxy, openPool }) {
      const proxy = await openProxy()
      const { pool, handle } = await openPool({ connectionString: proxy.url, breaker: steady })
      await handle.insert({ id: 1, name: 'lamp' })
      await proxy.refuse()
      await proxy.cut()
      await until(async () => {
        await Promise.allSettled([1, 2, 3].map(() => pool.withDeadline(() => handle.find(1), { timeoutMs: 50 })))
        return pool.stats().servers[0]?.breaker?.state === 'open'
      }, 'the breaker to open')
      const calls: readonly (() => Promise<unknown>)[] = [
        () => handle.find(1),
        () => handle.insert({ id: 2, name: 'shade' }),
        () => handle.query('select 1 as one'),
        () => handle.withTransaction((tx) => tx.find(1), { retry: false }),
        () => handle.ownTransaction((tx) => tx.find(1)),
      ]
      for (const call of calls) {
        // A call that waited for the host would not be back before the breaker lets another one through.
        assertCode(await rejection(call()), 'LIFEGUARD_BREAKER_OPEN')
      }
      assert.equal(pool.stats().servers[0]?.breaker?.state, 'open')
    },
  },
  {
    name: 'breaker: errors of the user never open it',
    async run({ openPool }) {
      const { pool, handle } = await openPool({ breaker: steady })
      await handle.insert({ id: 1, name: 'lamp' })
      for (let call = 0; call < 15; call++) {
        await rejection(handle.insert({ id: 1, name: 'again' }))
        await rejection(handle.query('select 1 / 0 as number'))
      }
      assert.equal(pool.stats().servers[0]?.breaker?.state, 'closed')
      assert.equal((await handle.find(1))?.name, 'lamp')
    },
  },
]
