import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Pool, TransactionClosedError, TransactionRolledBackError } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int primary key, note text)' })

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url)
  await pool.query('truncate entry')
})

async function ids(): Promise<number[]> {
  return (await pool.query<{ id: number }>('select id from entry order by id')).rows.map(({ id }) => id)
}

function insert(id: number): Promise<unknown> {
  return pool.query('insert into entry values ($1)', [id])
}

test('nested savepoints, a failing one, a fan-out and hooks: what was committed ran its hooks, once', async () => {
  const ran: string[] = []
  const attempts: number[] = []
  const value = await pool.withTransaction(async (tx) => {
    attempts.push(tx.attempt)
    tx.afterCommit(() => ran.push(`outer, attempt ${tx.attempt}`))
    tx.afterRollback(() => ran.push('never: outer rolled back'))
    await insert(1)
    await tx.withTransaction(async (inner) => {
      inner.afterCommit(() => ran.push('inner'))
      inner.onUnknown(() => ran.push('never: unknown'))
      await insert(2)
      await rejection(
        inner.withTransaction(async (deep) => {
          deep.afterCommit(() => ran.push('never: deep'))
          deep.afterRollback(() => ran.push('deep rolled back'))
          await insert(3)
          await deep.withTransaction(async (deepest) => {
            deepest.afterCommit(() => ran.push('never: deepest'))
            deepest.afterRollback(() => ran.push('deepest rolled back'))
            await insert(4)
          })
          await insert(1) // is there already
        }),
      )
      const { a, b } = await pool.fanOut({
        a: () =>
          inner.withTransaction(async (branch) => {
            branch.afterCommit(() => ran.push('branch a'))
            await insert(5)
            return 'a'
          }),
        b: async () => {
          await insert(6)
          return 'b'
        },
      })
      expect([a, b]).toEqual(['a', 'b'])
    })
    await rejection(
      tx.withTransaction(async (failing) => {
        failing.afterCommit(() => ran.push('never: failing fan-out'))
        failing.afterRollback(() => ran.push('fan-out rolled back'))
        await pool.fanOut({
          a: () => insert(7),
          b: () => pool.query('select 1/0'),
          c: () => pool.query('select pg_sleep(30)'),
        })
      }),
    )
    // A conflict at the very end: all of it happens again, hooks of the first attempt never ran.
    if (tx.attempt === 1) await tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
    return 'value'
  })
  expect(value).toBe('value')
  expect(attempts).toEqual([1, 2])
  expect(await ids()).toEqual([1, 2, 5, 6])
  expect(ran.toSorted()).toEqual(
    [
      'outer, attempt 2',
      'inner',
      'branch a',
      'deep rolled back',
      'deepest rolled back',
      'fan-out rolled back',
    ].toSorted(),
  )
})

describe('a level that is undone', () => {
  test('takes with it what still runs in it, and nothing of that ends up in the level around', async () => {
    const ran: string[] = []
    const gate = Promise.withResolvers<void>()
    let straying: Promise<Error> | undefined
    await pool.withTransaction(async (tx) => {
      await insert(1)
      await rejection(
        tx.withTransaction(async (middle) => {
          await insert(2)
          const entered = Promise.withResolvers<void>()
          straying = rejection(
            middle.withTransaction(async (stray) => {
              stray.afterCommit(() => ran.push('never'))
              stray.afterRollback(() => ran.push('stray rolled back'))
              entered.resolve()
              await gate.promise
              await stray.query('insert into entry values (3)')
            }),
          )
          await entered.promise
          throw new Error('undo the middle')
        }),
      )
      gate.resolve()
      expect(await straying).toBeInstanceOf(TransactionClosedError)
      await insert(4)
    })
    expect(await ids()).toEqual([1, 4])
    expect(ran).toEqual(['stray rolled back'])
  })

  test('does not fail the transaction later, when what ran in it comes to its end', async () => {
    const gate = Promise.withResolvers<void>()
    await pool.withTransaction(async (tx) => {
      await insert(1)
      let straying: Promise<Error> | undefined
      await rejection(
        tx.withTransaction(async (middle) => {
          const entered = Promise.withResolvers<void>()
          straying = rejection(
            middle.withTransaction(async (stray) => {
              await stray.query('insert into entry values (2)')
              entered.resolve()
              await gate.promise
              throw new Error('late')
            }),
          )
          await entered.promise
          throw new Error('undo the middle')
        }),
      )
      await insert(3)
      gate.resolve()
      await straying
      await insert(4)
    })
    expect(await ids()).toEqual([1, 3, 4])
  })
})

describe('a nested transaction that is ended by hand', () => {
  test('takes in the hooks that are registered while it is open', async () => {
    const ran: string[] = []
    await pool.withTransaction(async (tx) => {
      const undone = await pool.beginTransaction()
      await insert(1)
      tx.afterCommit(() => ran.push('never'))
      pool.currentTransaction?.afterRollback(() => ran.push('undone'))
      await undone.rollback()
      const kept = await pool.beginTransaction()
      await insert(2)
      tx.afterCommit(() => ran.push('kept'))
      await kept.commit()
      tx.afterCommit(() => ran.push('outer'))
    })
    expect(await ids()).toEqual([2])
    expect(ran).toEqual(['undone', 'kept', 'outer'])
  })

  test('is not waited for in vain by what the outer level asks for while it ends', async () => {
    await pool.withTransaction(async (tx) => {
      await insert(1)
      const nested = await pool.beginTransaction()
      await insert(2)
      await Promise.all([nested.rollback(), tx.query('insert into entry values (3)'), nested.rollback()])
    })
    expect(await ids()).toEqual([1, 3])
  })

  test('and left open fails the transaction around it, at any level', async () => {
    const error = await rejection(
      pool.withTransaction(async () => {
        await pool.beginTransaction()
        await insert(1)
      }),
    )
    expect(error).toBeInstanceOf(TransactionRolledBackError)
    expect(error.message).toContain('neither committed nor rolled back')
    await pool.withTransaction(async (tx) => {
      const nested = await rejection(
        tx.withTransaction(async () => {
          const left = await pool.beginTransaction()
          await left.query('insert into entry values (2)')
        }),
      )
      expect(nested).toBeInstanceOf(TransactionRolledBackError)
      await insert(3)
    })
    expect(await ids()).toEqual([3])
  })

  test('and forgotten in a level that was undone can be rolled back late, without harm', async () => {
    await pool.withTransaction(async (tx) => {
      let left: { commit(): Promise<void>; rollback(): Promise<void> } | undefined
      await rejection(
        tx.withTransaction(async () => {
          left = await pool.beginTransaction()
          await insert(1)
          throw new Error('undo')
        }),
      )
      await insert(2)
      expect(await rejection(left?.commit() ?? Promise.resolve())).toBeInstanceOf(TransactionClosedError)
      await left?.rollback()
      await insert(3)
    })
    expect(await ids()).toEqual([2, 3])
  })
})
