import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { type Pool, sql } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table kept as select 1 as id' })

/** A name stands for one text. */
let names = 0

const ways: Readonly<Record<string, (pool: Pool, text: string) => Promise<unknown>>> = {
  query: (pool, text) => pool.query(text),
  'query with values': (pool, text) => pool.query(text, []),
  'query by name': (pool, text) => pool.query({ name: `n${names++}`, text }),
  sql: (pool, text) => pool.query(sql`${sql.unsafe(text)}`),
  'a transaction': (pool, text) => pool.withTransaction((tx) => tx.query(text)),
  'a batch': (pool, text) => pool.batch([{ text: 'select 1' }, { text }]),
  'a stream': async (pool, text) => {
    for await (const _ of pool.stream(text));
  },
  'a copyTo': async (pool, text) => {
    for await (const _ of pool.copyTo({ text }));
  },
  'a pg.Pool': (pool, text) => pool.asPgPool().query(text),
  'a read': (pool, text) => pool.read(() => pool.query(text)),
}

test.each(Object.entries(ways))(
  'a zero byte in the text of %s ends nothing early, and hurts nobody',
  async (_, run) => {
    const pool = testPool(database.url, { max: 1 })
    for (let n = 0; n < 4; n += 1) {
      for (const text of [
        "select 'a\0b'",
        'delete from kept\0',
        'select 1\0; delete from kept',
        '\0',
        'select 1\0\0\0\0',
      ]) {
        const others = [pool.query('select 7 as n'), pool.query<{ n: number }>('select $1::int as n', [8])]
        await rejection(run(pool, text))
        expect((await Promise.all(others)).map(({ rows }) => rows)).toEqual([[{ n: 7 }], [{ n: 8 }]])
      }
    }
    expect((await pool.query('select id from kept')).rows).toEqual([{ id: 1 }])
    expect(pool.stats().pool.active).toBe(0)
  },
)

test.each(Object.entries(ways))(
  'half a surrogate pair in the text of %s is U+FFFD, for each of several',
  async (_, run) => {
    const pool = testPool(database.url, { max: 1 })
    for (let n = 0; n < 4; n += 1) {
      for (const half of ['\ud800', '\udbff', '\udc00', 'x\ud83d', '\ude00x']) {
        await run(pool, `select '${half}' as half`)
        const { rows } = await pool.query(`select '${half}' as text, $1::text as value, $2::text[] as many`, [
          half,
          [half],
        ])
        const whole = half.toWellFormed()
        expect(rows).toEqual([{ text: whole, value: whole, many: [whole] }])
      }
    }
  },
)

test('a value with a zero byte is refused, wherever it stands, and its neighbours are answered', async () => {
  const pool = testPool(database.url, { max: 1 })
  const odd: readonly unknown[] = ['a\0b', ['a\0b'], { a: 'a\0b' }, '\0']
  for (const value of odd) {
    const cast = Array.isArray(value) ? 'text[]' : typeof value === 'object' ? 'jsonb' : 'text'
    const refused = rejection(pool.query(`select $1::${cast} as x`, [value]))
    const fine = pool.query('select 7 as n')
    expect(await refused).toMatchObject({ code: expect.stringMatching(/^22/) })
    expect((await fine).rows).toEqual([{ n: 7 }])
  }
  await rejection(pool.notify('news', 'a\0b'))
  await rejection(pool.copyFrom({ table: 'kept' }, [['1\0']]))
  await rejection(pool.withTransaction((tx) => tx.query('select $1::text', ['\0'])))
  expect((await pool.query('select id from kept')).rows).toEqual([{ id: 1 }])
})
