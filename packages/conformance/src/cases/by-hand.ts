import assert from 'node:assert/strict'
import { InvalidArgumentError, TransactionClosedError } from '@pg-lifeguard/core'
import type { Case } from '../case.js'
import { causesOf, committedItems, rejection, untilQuiet } from '../expectations.js'

/** Ways to end a transaction by a statement of one's own; what came before is there afterwards, or it is not. */
const endings: readonly (readonly [text: string, isCommit: boolean])[] = [
  ['commit', true],
  ['END', true],
  ['/* done */ commit', true],
  ['--\rcommit', true],
  ['commit and chain', true],
  ['commit; begin', true],
  ['rollback', false],
  ['abort', false],
  ['rollback and chain', false],
]

/** Ways to begin one that no later statement would belong to. */
const beginnings: readonly string[] = [
  'begin',
  'BEGIN;',
  'start transaction read only',
  '/* mine */ begin isolation level serializable',
  '--\rbegin',
  "begin; insert into item (id, name) values (1, 'never')",
]

export const byHandCases: readonly Case[] = [
  {
    name: 'by hand: what ends a transaction ends its scope, or is refused, and nothing runs after it without its settings',
    async run(context) {
      const { handle, admin } = context
      for (const [text, isCommit] of endings) {
        await admin.query('truncate item cascade')
        let ended: PromiseSettledResult<unknown> | undefined
        let after: PromiseSettledResult<readonly { tenant: string }[]> | undefined
        const [outcome] = await Promise.allSettled([
          handle.withTransaction(
            async (tx) => {
              await tx.insert({ id: 1, name: 'before' })
              ;[ended] = await Promise.allSettled([tx.query(text)])
              ;[after] = await Promise.allSettled([
                tx.query<{ tenant: string }>("select current_setting('app.tenant', true) as tenant"),
              ])
            },
            { settings: { 'app.tenant': 'a' } },
          ),
        ])
        if (after?.status === 'fulfilled') {
          // It goes on only where the statement was refused, and then it is the same transaction.
          assert.ok(ended?.status === 'rejected' && isRefusal(ended.reason), `${text}: went on`)
          assert.deepEqual(after.value, [{ tenant: 'a' }], text)
          assert.equal(outcome.status, 'fulfilled', text)
          assert.deepEqual(await committedItems(context), [1], text)
          continue
        }
        assert.ok(
          causesOf(after?.reason).some((one) => one instanceof TransactionClosedError),
          `${text}: ${String(after?.reason)}`,
        )
        assert.equal(outcome.status, isCommit ? 'fulfilled' : 'rejected', text)
        assert.deepEqual(await committedItems(context), isCommit ? [1] : [], text)
      }
      await untilQuiet(context)
    },
  },
  {
    name: "by hand: in the ORM's own transactions it leaves nothing open",
    async run(context) {
      const { handle, admin } = context
      for (const run of Object.values(handle.ownTransactions)) {
        for (const [text] of endings) {
          await admin.query('truncate item cascade')
          await Promise.allSettled([run(["insert into item (id, name) values (1, 'before')", text])])
          await untilQuiet(context)
        }
      }
    },
  },
  {
    name: 'by hand: BEGIN that no later statement would belong to is refused, and leaves nothing',
    async run(context) {
      const { handle } = context
      for (const text of beginnings) {
        const error = await rejection(handle.query(text))
        assert.ok(isRefusal(error), `${text}: ${error.name}: ${error.message}`)
      }
      assert.deepEqual(await committedItems(context), [])
      await untilQuiet(context)
    },
  },
]

function isRefusal(error: unknown): boolean {
  return causesOf(error).some((one) => one instanceof InvalidArgumentError)
}
