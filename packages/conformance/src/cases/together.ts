import assert from 'node:assert/strict'
import { classify } from '@pg-lifeguard/core'
import type { CaseContext } from '../case.js'
import { committedItems, rejection } from '../expectations.js'
import type { Handle, Statements } from '../subject.js'

/** One thing that several ORMs on one pool must do together. */
export interface TogetherCase {
  readonly name: string
  run(context: CaseContext, handles: ReadonlyMap<string, Handle>): Promise<void>
}

/** A step of a transaction: one ORM inserts the row of its number. */
type Step = (id: number) => Promise<unknown>

/** Every ORM by its object, and raw SQL on the pool; each sees what was done before it. */
function stepsOf({ pool }: CaseContext, handles: ReadonlyMap<string, Handle>): readonly Step[] {
  const all = [...handles.values()]
  const seen = async (on: Statements, id: number): Promise<void> => {
    for (let before = 0; before < id; before++) assert.equal((await on.find(before))?.name, `step ${before}`)
  }
  return [
    ...all.map(
      (handle): Step =>
        async (id) => {
          await seen(handle, id)
          await handle.insert({ id, name: `step ${id}` })
        },
    ),
    async (id) => {
      await pool.query('insert into item (id, name) values ($1, $2)', [id, `step ${id}`])
    },
    ...all.map(
      (handle): Step =>
        async (id) => {
          await handle.query('insert into item (id, name) values ($1, $2)', [id, `step ${id}`])
          await seen(handle, id)
        },
    ),
  ]
}

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)

/** Who opens the transaction: the pool, or each ORM with its helper. */
function openers({ pool }: CaseContext, handles: ReadonlyMap<string, Handle>): readonly Handle['withTransaction'][] {
  const ofPool = (fn: (tx: never, transaction: never) => Promise<unknown>, options?: object): Promise<unknown> =>
    pool.withTransaction((tx) => fn(tx as never, tx as never), options)
  return [ofPool as unknown as Handle['withTransaction'], ...[...handles.values()].map((one) => one.withTransaction)]
}

async function backend({ pool }: CaseContext): Promise<number> {
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? assert.fail('the server did not say who it is')
}

async function clear({ admin }: CaseContext): Promise<void> {
  await admin.query('truncate item, part, sample')
}

export const togetherCases: readonly TogetherCase[] = [
  {
    name: 'one transaction over all of them commits as one, whoever opened it',
    async run(context, handles) {
      const steps = stepsOf(context, handles)
      for (const withTransaction of openers(context, handles)) {
        await clear(context)
        await withTransaction(async () => {
          for (const [id, step] of steps.entries()) await step(id)
          assert.deepEqual(await committedItems(context), [])
          assert.equal(context.pool.stats().pool.active, 1)
        })
        assert.deepEqual(await committedItems(context), numbers(steps.length))
      }
    },
  },
  {
    name: 'one transaction over all of them rolls back as one, whichever step fails',
    async run(context, handles) {
      const steps = stepsOf(context, handles)
      for (const withTransaction of openers(context, handles)) {
        for (const failing of numbers(steps.length + 1)) {
          const error = await rejection(
            withTransaction(async () => {
              for (const [id, step] of steps.entries()) {
                if (id === failing) throw new Error(`before step ${id}`)
                await step(id)
              }
              throw new Error('after the last step')
            }),
          )
          assert.match(error.message, /^(before|after)/)
          assert.deepEqual(await committedItems(context), [])
        }
      }
    },
  },
  {
    name: 'one transaction over all of them is tried again when its backend is killed before any step',
    async run(context, handles) {
      const steps = stepsOf(context, handles)
      const [first] = openers(context, handles)
      for (const killed of numbers(steps.length)) {
        await clear(context)
        let attempts = 0
        await first?.(async () => {
          attempts += 1
          for (const [id, step] of steps.entries()) {
            if (id === killed && attempts === 1) await context.kill(await backend(context))
            await step(id)
          }
        })
        assert.equal(attempts, 2)
        assert.deepEqual(await committedItems(context), numbers(steps.length))
      }
    },
  },
  {
    name: 'one transaction over all of them leaves nothing when its backend is killed and it may not be tried again',
    async run(context, handles) {
      const steps = stepsOf(context, handles)
      for (const withTransaction of openers(context, handles)) {
        for (const killed of numbers(steps.length + 1)) {
          const error = await rejection(
            withTransaction(
              async () => {
                for (const [id, step] of steps.entries()) {
                  if (id === killed) await context.kill(await backend(context))
                  await step(id)
                }
                await context.kill(await backend(context))
              },
              { retry: false },
            ),
          )
          const kind = classify(error)
          assert.ok(['connection', 'unavailable', 'outcome-unknown'].includes(kind), `${kind}: ${error.message}`)
          assert.deepEqual(await committedItems(context), [])
        }
      }
    },
  },
  {
    name: 'one transaction over all of them meets conflicts, is tried again, and counts everything once',
    async run(context, handles) {
      const all = [...handles.values()]
      await context.admin.query("insert into item (id, name) values (0, 'counter')")
      await Promise.all(
        numbers(12).map((caller) =>
          context.pool.withTransaction(
            async (tx) => {
              for (const [index, handle] of all.entries()) {
                const { stock } = (await handle.find(0)) ?? assert.fail('the counter is gone')
                if ((caller + index) % 2 === 0) await handle.update(0, { stock: stock + 1 })
                else await tx.query('update item set stock = $1 where id = 0', [stock + 1])
              }
            },
            { isolation: 'serializable', retry: { attempts: 100 } },
          ),
        ),
      )
      const { rows } = await context.admin.query('select stock from item where id = 0')
      assert.deepEqual(rows, [{ stock: 12 * all.length }])
    },
  },
  {
    name: 'own transactions of all of them nest in each other as savepoints',
    async run(context, handles) {
      const all = [...handles.values()]
      await context.pool.withTransaction(async () => {
        for (const [id, handle] of all.entries()) {
          await handle.ownTransaction((own) => own.insert({ id, name: `kept ${id}` }))
          const next = all[(id + 1) % all.length]
          await rejection(
            handle.withTransaction(async (tx) => {
              await tx.insert({ id: 100 + id, name: 'lost' })
              await next?.withTransaction((nested) => nested.insert({ id: 200 + id, name: 'lost too' }))
              throw new Error('undone')
            }),
          )
        }
      })
      assert.deepEqual(await committedItems(context), numbers(all.length))
    },
  },
]
