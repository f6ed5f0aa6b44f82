import assert from 'node:assert/strict'
import { type Pool, TransactionClosedError } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { rejection, untilQuiet } from '../expectations.js'

const tenant = "select current_setting('app.tenant', true) as tenant"

/** Boxed, as whoever awaits a generator would not wait for its end. */
const boxed = (pool: Pool) => [pool.stream<{ tenant: string | null }>(tenant)] as const

export const streamCases: readonly Case[] = [
  {
    name: "stream: one of the pool that is made in the ORM's transaction is read in it, or not at all",
    async run(context) {
      const { handle, pool } = context
      const settings = { 'app.tenant': 'a' }
      const [late] = await handle.withTransaction(async () => boxed(pool), { settings })
      assert.ok((await rejection(late.next())) instanceof TransactionClosedError)
      const [elsewhere] = await handle.withTransaction(async () => boxed(pool), { settings })
      await handle.withTransaction(
        async () => {
          assert.ok((await rejection(elsewhere.next())) instanceof TransactionClosedError)
        },
        { settings: { 'app.tenant': 'b' } },
      )
      const seen = await handle.withTransaction(
        async (tx) => {
          await tx.insert({ id: 1, name: 'lamp' })
          const rows: (string | null)[] = []
          for await (const row of boxed(pool)[0]) rows.push(row.tenant)
          return rows
        },
        { settings },
      )
      assert.deepEqual(seen, ['a'])
      await untilQuiet(context)
    },
  },
  {
    name: "stream: one of the pool that is made outside has nothing of the ORM's transaction around whoever reads it",
    async run(context) {
      const { handle, pool } = context
      const [outside] = boxed(pool)
      const first = await handle.withTransaction(async () => (await outside.next()).value, {
        settings: { 'app.tenant': 'a' },
      })
      assert.notEqual(first?.tenant, 'a')
      await outside.return()
      await untilQuiet(context)
    },
  },
]
