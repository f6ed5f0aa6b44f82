import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int, name text)' })

const thrown: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['undefined', undefined],
  ['0', 0],
  ['an empty text', ''],
  ['a text', 'no error'],
  ['a symbol', Symbol('none')],
  ['an object without a prototype', Object.create(null)],
  ['an object', { code: 'mine' }],
]

/** Every way in which a statement is run. */
const ways: readonly (readonly [string, (pool: Pool, text: string, values: unknown[]) => Promise<unknown>])[] = [
  ['query', (pool, text, values) => pool.query(text, values)],
  ['two queries of a tick', (pool, text, values) => Promise.all([pool.query('select 1'), pool.query(text, values)])],
  ['batch', (pool, text, values) => pool.batch([{ text: "select 'x'" }, { text, values }])],
  ['batchTogether', (pool, text, values) => pool.batchTogether([() => pool.query(text, values)])],
  ['withTransaction', (pool, text, values) => pool.withTransaction((tx) => tx.query(text, values))],
  ['stream', (pool, text, values) => pool.stream(text, values).next()],
  ['the facade', (pool, text, values) => pool.asPgPool().query(text, values)],
]

test.each(thrown)(
  'a type parser that throws %s costs its own caller an error, and nobody anything',
  async (_, value) => {
    const parser = (): never => {
      throw value
    }
    const pool = testPool(database.url, { max: 1, types: { parsers: { 2950: parser } } })
    const uuid = "select '00000000-0000-0000-0000-000000000000'::uuid as id, $1::text as a"
    for (const [name, run] of ways) {
      for (let time = 0; time < 3; time++) {
        const [settled] = await Promise.allSettled([run(pool, uuid, ['a'])])
        expect(settled, name).toMatchObject({ status: 'rejected' })
        expect((settled as PromiseRejectedResult).reason, name).toBeTypeOf('object')
        expect((settled as PromiseRejectedResult).reason, name).not.toBeNull()
      }
      expect((await pool.query("select 'z' as a")).rows, name).toEqual([{ a: 'z' }])
    }
    expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
  },
)

test.each(thrown)('a value that throws %s is refused, and nothing of its statement is run', async (_, value) => {
  const bad = {
    toPostgres: () => {
      throw value
    },
  }
  const pool = testPool(database.url, { max: 1 })
  const insert = 'insert into item (name) values ($1)'
  const copy = async (on: Pool) => await on.copyFrom({ table: 'item', columns: ['id', 'name'] }, [[1, bad]])
  for (const [name, run] of [...ways, ['copyFrom', copy] as const]) {
    const [settled] = await Promise.allSettled([run(pool, insert, [bad])])
    expect(settled, name).toMatchObject({ status: 'rejected' })
    expect((await pool.query('select count(*)::int as n from item')).rows, name).toEqual([{ n: 0 }])
  }
  expect(pool.stats()).toMatchObject({ pool: { active: 0 }, waits: { waiting: 0 } })
})
