import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { sql } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int)' })

const copy = 'copy item from stdin'
const refused = { code: '57014', message: expect.stringContaining('No source stream defined') }
/** A limit that turns a hang into another error than the one that is expected. */
const soon = { timeoutMs: 10_000 }

/** Each way to send COPY FROM STDIN as if it were a statement like others. */
const ways: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
  'by the pool': (pool) => pool.query(copy, [], soon),
  'with a comment ahead': (pool) => pool.query(`-- rows\r /* of /* all */ */ ${copy}`, [], soon),
  'among other statements': (pool) => pool.query(`select 1; ${copy}; select 2`, [], soon),
  'under a name': (pool) => pool.query({ text: copy, name: 'copies' }, soon),
  'under a name, a second time': async (pool) => {
    await rejection(pool.query({ text: copy, name: 'copies' }, soon))
    await pool.query({ text: copy, name: 'copies' }, soon)
  },
  'as the first of a transaction': (pool) => pool.withTransaction((tx) => tx.query(copy, [], soon)),
  'later in a transaction': (pool) =>
    pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      await tx.query(copy, [], soon)
    }),
  'as the first of several in a transaction': (pool) =>
    pool.withTransaction((tx) => tx.query(`${copy}; select 1`, [], soon)),
  'as the first of a savepoint': (pool) =>
    pool.withTransaction((tx) => tx.withTransaction((nested) => nested.query(copy, [], soon))),
  'under a name in a transaction': (pool) =>
    pool.withTransaction((tx) => tx.query({ text: copy, name: 'copies' }, soon)),
  'in a transaction that is ended by hand': async (pool) => {
    const tx = await pool.beginTransaction()
    try {
      await tx.query(copy, [], soon)
    } finally {
      await tx.rollback()
    }
  },
  'on an acquired connection': async (pool) => {
    await using connection = await pool.acquire()
    await connection.query(copy, [], soon)
  },
  'as a stream': async (pool) => {
    for await (const row of pool.stream(copy, [], soon)) throw new Error(`a row: ${JSON.stringify(row)}`)
  },
  'as a stream in a transaction': (pool) =>
    pool.withTransaction(async (tx) => {
      for await (const row of tx.stream(copy, [], soon)) throw new Error(`a row: ${JSON.stringify(row)}`)
    }),
  'by the facade': (pool) => pool.asPgPool().query(copy),
  'by a client of the facade': async (pool) => {
    const client = await pool.asPgPool().connect()
    try {
      await client.query('begin')
      await client.query({ text: copy, values: [] })
    } finally {
      client.release()
    }
  },
}

describe('COPY FROM STDIN as a statement is refused, and the connection goes on', () => {
  test.each(Object.entries(ways))('%s', async (_, send) => {
    const pool = testPool(database.url, { max: 1 })
    expect(await rejection(send(pool))).toMatchObject(refused)
    // Each answer is that of its own question.
    const answers = await Promise.all([1, 2, 3].map((n) => pool.query('select $1::int as n', [n], soon)))
    expect(answers.map(({ rows: [row] }) => row?.['n'])).toEqual([1, 2, 3])
    expect(pool.stats()).toMatchObject({ pool: { opened: 1, active: 0 }, waits: { waiting: 0 } })
  })

  test.each(['copy', '/* why */ COPY', '-- why\rcopy', ';copy', '\f\v copy'])(
    'in a batch it is refused before it is sent: %j',
    async (word) => {
      const pool = testPool(database.url, { max: 1 })
      const text = `${word} item from stdin`
      expect(await rejection(pool.batch([sql`select 1`, { text }], soon))).toMatchObject({
        code: 'LIFEGUARD_INVALID_OPTION',
      })
      const together = pool.batchTogether([() => pool.query('select 1'), () => pool.query(text)], soon)
      expect(await rejection(together)).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
      expect((await pool.query('select 1 as one', [], soon)).rows).toEqual([{ one: 1 }])
    },
  )
})

test('COPY TO STDOUT as a statement gives no rows, and the connection goes on', async () => {
  const pool = testPool(database.url, { max: 1 })
  const text = 'copy (select generate_series(1, 1000)) to stdout'
  expect(await pool.query(text, [], soon)).toMatchObject({ command: 'COPY', rowCount: 1_000, rows: [] })
  await pool.withTransaction((tx) => tx.query(text, [], soon))
  await pool.query({ text, name: 'out' }, soon)
  expect((await pool.query('select 1 as one', [], soon)).rows).toEqual([{ one: 1 }])
  expect(pool.stats()).toMatchObject({ pool: { opened: 1, active: 0 } })
})
