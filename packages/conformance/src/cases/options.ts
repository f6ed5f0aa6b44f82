import assert from 'node:assert/strict'
import { InvalidArgumentError } from '@pg-lifeguard/core'
import type { Case, CaseContext } from '../case.js'
import { committedItems, rejection } from '../expectations.js'
import type { Handle } from '../subject.js'

/** What another library calls it, or a hand has mistyped: no options of any helper. */
const strangers: readonly object[] = [{ isolationLevel: 'serializable' }, { timeout: 1_000 }, { nonsense: undefined }]

const noop = async (): Promise<string> => 'ran'

const helpers: Readonly<Record<string, (handle: Handle, options: never) => Promise<unknown>>> = {
  withTransaction: (handle, options) => handle.withTransaction(noop, options),
  withLock: (handle, options) => handle.withLock('key', noop, options),
  tryWithLock: (handle, options) => handle.tryWithLock('key', noop, options),
  withSemaphore: (handle, options) => handle.withSemaphore('name', 1, noop, options),
  withOptimisticRetry: (handle, options) => handle.withOptimisticRetry(noop, options),
  updateVersioned: (handle, options) => handle.updateVersioned({ id: 1, version: 1 }, { stock: 9 }, options),
}

/** Options of a transaction that decide about rights, and are not what they may be. */
const wrongRights: readonly object[] = [
  { role: null },
  { role: undefined },
  { role: 'none' },
  { role: '' },
  { role: { name: 'app' } },
  { role: 'app\0postgres' },
  { rol: 'app' },
  Object.create({ rol: 'app' }),
  { settings: null },
  { settings: undefined },
  { settings: 'app.tenant=1' },
  { settings: [['app.tenant', '1']] },
  { settings: new Map([['app.tenant', '1']]) },
  { settings: { 'app.tenant': undefined } },
  { settings: { 'app.tenant': null } },
  { settings: { 'app.tenant': { id: 1 } } },
  { settings: { 'app.tenant': ['1'] } },
  { settings: { 'app.tenant': Number.NaN } },
  { settings: { 'app.tenant': '1\0role\0postgres' } },
  { settings: { 'app.te\0nant': '1' } },
  { settings: { role: 'app' } },
]

async function assertRefused(work: Promise<unknown>, what: string): Promise<void> {
  const error = await rejection(work)
  assert.ok(error instanceof InvalidArgumentError, `${what}: ${error.name}: ${error.message}`)
}

async function assertUntouched({ pool, handle, admin }: CaseContext): Promise<void> {
  assert.deepEqual(await handle.find(1), { id: 1, name: 'lamp', stock: 0, version: 1 })
  assert.deepEqual(await committedItems({ admin }), [1])
  assert.equal(pool.stats().pool.active, 0)
}

export const optionsCases: readonly Case[] = [
  {
    name: 'options: every helper refuses what is no option of its own, and does nothing',
    async run(context) {
      const { handle } = context
      await handle.insert({ id: 1, name: 'lamp' })
      for (const [name, helper] of Object.entries(helpers)) {
        for (const options of [...strangers, null, 'serializable', 5]) {
          await assertRefused(helper(handle, options as never), `${name} with ${JSON.stringify(options)}`)
        }
      }
      await assertUntouched(context)
    },
  },
  {
    name: 'options: inside of a transaction its helpers refuse them as well',
    async run(context) {
      const { handle } = context
      await handle.insert({ id: 1, name: 'lamp' })
      await handle.withTransaction(async () => {
        for (const [name, helper] of Object.entries(helpers)) {
          for (const options of strangers) await assertRefused(helper(handle, options as never), name)
        }
      })
      await assertUntouched(context)
    },
  },
  {
    name: 'options: a batch refuses what is no option of its own, and does nothing',
    async run(context) {
      const { handle } = context
      await handle.insert({ id: 1, name: 'lamp' })
      for (const options of strangers) {
        const batch = handle.batch?.([{ id: 2, name: 'never' }], 2, options as never)
        await assertRefused(batch ?? Promise.resolve('batch is neither there nor absent'), 'batch')
      }
      await assertUntouched(context)
    },
  },
  {
    name: 'options: role and settings of a transaction are refused where they would not hold',
    async run(context) {
      const { handle, pool } = context
      await handle.insert({ id: 1, name: 'lamp' })
      for (const options of wrongRights) {
        const never = (): Promise<unknown> => handle.insert({ id: 2, name: 'never' })
        const ran = handle.withTransaction(never, options as never)
        await assertRefused(ran, JSON.stringify(options) ?? 'the options')
        await assertRefused(pool.beginTransaction(options as never), JSON.stringify(options) ?? 'the options')
      }
      await assertUntouched(context)
    },
  },
  {
    name: 'options: what they have inherited holds as well',
    async run({ handle }) {
      const options = Object.create({ settings: { 'app.tenant': '42' }, readOnly: true })
      const [row] = await handle.withTransaction(
        (tx) =>
          tx.query<{ tenant: string; reads: string }>(
            "select current_setting('app.tenant') as tenant, current_setting('transaction_read_only') as reads",
          ),
        options,
      )
      assert.deepEqual(row, { tenant: '42', reads: 'on' })
    },
  },
]
