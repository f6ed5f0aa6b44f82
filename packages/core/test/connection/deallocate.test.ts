import { once } from 'node:events'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

/** Its name would be cut off, or end early, in other ways of writing it. */
const odd = 'Odd "name"; -- é'

describe('a name that SQL has freed is prepared anew, in an open transaction too', () => {
  test.each([
    ['n', 'deallocate n'],
    ['n', '/* why */ DeAllocate PREPARE\n N;'],
    [odd, `deallocate ${pg.escapeIdentifier(odd)}`],
    ['name', 'deallocate U&"\\006eame"'],
    ['prepare', 'deallocate prepare'],
    ['x'.repeat(63), `deallocate ${'x'.repeat(80)}`],
    ['n', "select 'deallocate m'; deallocate n; select 1"],
    ['n', 'prepare p as select 1; deallocate p; deallocate n'],
    ['n', 'deallocate all'],
    ['n', 'DEALLOCATE PREPARE ALL'],
    ['n', 'do $$ begin execute $a$deallocate n$a$; end $$'],
    ['n', 'do $$ begin deallocate all; end $$'],
  ])('%s by %j', async (name, text) => {
    const pool = testPool(database.url, { max: 1 })
    const named = (sql = 'select $1::int as a'): { name: string; text: string; values: number[] } => ({
      name,
      text: sql,
      values: [1],
    })
    await pool.withTransaction(async (tx) => {
      for (let time = 0; time < 2; time++) {
        expect((await tx.query(named())).rows).toEqual([{ a: 1 }])
        await tx.query(text)
      }
    })
    const client = await pool.asPgPool().connect()
    await client.query('begin')
    for (let time = 0; time < 2; time++) {
      expect((await client.query(named())).rows).toEqual([{ a: 1 }])
      await client.query(text)
    }
    // A query of pg's own, too.
    for (let time = 0; time < 2; time++) {
      expect((await client.query({ ...named(), binary: true } as pg.QueryConfig)).rows).toEqual([{ a: 1 }])
      const freed = once(client.query(new pg.Query(text) as never) as never, 'end')
      await freed
    }
    expect((await client.query(named())).rows).toEqual([{ a: 1 }])
    await client.query('commit')
    client.release()
    expect(pool.stats().pool.opened).toBe(1)
  })

  test('by DISCARD ALL outside of one', async () => {
    const client = await testPool(database.url, { max: 1 }).asPgPool().connect()
    const named = { name: 'n', text: 'select 1 as a' }
    await client.query(named)
    await client.query('discard all')
    await client.query('begin')
    expect((await client.query(named)).rows).toEqual([{ a: 1 }])
    await client.query('commit')
    client.release()
  })
})

test('in a batch, by the extended protocol, in a savepoint, in a read-only transaction', async () => {
  const pool = testPool(database.url, { max: 1 })
  const named = { name: 'n', text: 'select 1 as a' }
  const ways: readonly ((tx: Transaction) => Promise<unknown>)[] = [
    (tx) => tx.batch([{ text: 'select 2' }, { text: 'Deallocate "n"' }, { text: 'select 3' }]),
    (tx) => tx.query({ text: 'deallocate n', values: [] }),
    (tx) => tx.query({ name: 'freeing', text: 'deallocate n' }),
    (tx) => tx.withTransaction((inner) => inner.query('deallocate n')),
  ]
  for (const free of ways) {
    await pool.withTransaction(
      async (tx) => {
        for (let time = 0; time < 2; time++) {
          expect((await tx.query(named)).rows).toEqual([{ a: 1 }])
          await free(tx)
        }
        expect((await tx.query(named)).rows).toEqual([{ a: 1 }])
      },
      { readOnly: true },
    )
  }
  // What a transaction has freed stays free when it is rolled back.
  await rejection(
    pool.withTransaction(async (tx) => {
      await tx.query(named)
      await tx.query('deallocate n')
      throw new Error('no')
    }),
  )
  await pool.withTransaction(async (tx) => {
    expect((await tx.query(named)).rows).toEqual([{ a: 1 }])
  })
})

test('a name that is free may stand for another text', async () => {
  const pool = testPool(database.url, { max: 1 })
  await pool.query({ name: 'n', text: 'select 1 as a' })
  await pool.query('deallocate n')
  expect((await pool.query({ name: 'n', text: 'select 2 as b' })).rows).toEqual([{ b: 2 }])
})

test('only what was freed is: one that failed, and those behind it, are not; what SQL has prepared since stays', async () => {
  const pool = testPool(database.url, { max: 1 })
  const client = await pool.asPgPool().connect()
  const one = { name: 'one', text: 'select 1 as a' }
  const two = { name: 'two', text: 'select 2 as a' }
  await client.query(one)
  await client.query(two)
  expect((await rejection(client.query('deallocate one; deallocate three; deallocate two'))).code).toBe('26000')
  const { rows } = await client.query('select name from pg_prepared_statements where name in ($1, $2)', ['one', 'two'])
  expect(rows).toEqual([{ name: 'two' }])
  await client.query('begin')
  expect((await client.query(two)).rows).toEqual([{ a: 2 }])
  expect((await client.query(one)).rows).toEqual([{ a: 1 }])
  await client.query('deallocate one; prepare one as select 3 as a')
  expect((await client.query('execute one')).rows).toEqual([{ a: 3 }])
  await client.query('rollback')
  client.release()
})

test('the statements that the pool has prepared by itself, by their names', async () => {
  const pool = testPool(database.url, { max: 1 })
  const ask = 'select $1::int as a'
  for (let time = 0; time < 3; time++) await pool.query(ask, [1])
  await pool.withTransaction(async (tx) => {
    const { rows } = await tx.query<{ name: string }>({
      text: 'select name from pg_prepared_statements where statement = $1',
      values: [ask],
    })
    expect(rows).toHaveLength(1)
    await tx.query(`deallocate ${pg.escapeIdentifier(rows[0]?.name ?? '')}`)
    expect((await tx.query(ask, [2])).rows).toEqual([{ a: 2 }])
  })
})

test('what a program strikes from parsedStatements, as it has freed it in a way of its own, is prepared anew', async () => {
  const client = await testPool(database.url, { max: 1 }).asPgPool().connect()
  const { parsedStatements } = (client as unknown as { connection: { parsedStatements: Record<string, string> } })
    .connection
  const named = { name: 'n', text: 'select 1 as a' }
  await client.query('begin')
  await client.query(named)
  expect(parsedStatements).toMatchObject({ n: 'select 1 as a' })
  await client.query('deallocate n')
  expect(parsedStatements).not.toHaveProperty('n')
  await client.query(named)
  delete parsedStatements['n']
  // It is still there, and closed first.
  expect((await client.query(named)).rows).toEqual([{ a: 1 }])
  await client.query('commit')
  client.release()
})

test('a name without a text is that of an SQL PREPARE, or an error: never a statement without a text', async () => {
  const client = await testPool(database.url, { max: 1 }).asPgPool().connect()
  const unnamed = { name: 'by_sql' } as unknown as { text: string }
  expect((await rejection(client.query(unnamed))).code).toBe('26000')
  await client.query('prepare by_sql as select 1 as a')
  expect((await client.query(unnamed)).rows).toEqual([{ a: 1 }])
  client.release()
})
