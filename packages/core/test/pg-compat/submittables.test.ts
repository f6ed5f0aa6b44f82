import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { from, to } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { expect, test } from 'vitest'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key, name text)' })

test('pg-cursor reads on a client, which is usable before and after', async () => {
  const pool = testPool(database.url, { max: 1 })
  const client = await pool.asPgPool().connect()
  const cursor = client.query(new Cursor('select g from generate_series($1::int, $2) g', [1, 5]))
  expect(await cursor.read(2)).toEqual([{ g: 1 }, { g: 2 }])
  const behind = client.query('select 7 as n')
  expect(await cursor.read(10)).toHaveLength(3)
  await cursor.close()
  expect((await behind).rows).toEqual([{ n: 7 }])
  const failing = client.query(new Cursor('select 1 / (3 - g) from generate_series(1, 5) g'))
  expect(await rejection(failing.read(10))).toMatchObject({ code: '22012' })
  expect((await client.query('select 8 as n')).rows).toEqual([{ n: 8 }])
  client.release()
  expect(pool.stats()).toMatchObject({ pool: { active: 0, idle: 1, total: 1 } })
})

test('pg-query-stream streams on the pool, which has its connection back after', async () => {
  const pool = testPool(database.url, { max: 1 })
  const stream = pool.asPgPool().query(new QueryStream('select g from generate_series(1, 1000) g'))
  let sum = 0
  for await (const { g } of stream) sum += g
  expect(sum).toBe(500_500)
  await eventually('it is back', () => pool.stats().pool.active === 0)
  const left = pool
    .asPgPool()
    .query(new QueryStream('select g from generate_series(1, 100000) g', [], { batchSize: 10 }))
  for await (const { g } of left) if (g === 5) break
  await eventually('it is back', () => pool.stats().pool.active === 0)
  expect(pool.stats().pool.total).toBe(1)
})

test('pg-copy-streams copies in and out', async () => {
  const pool = testPool(database.url, { max: 1 })
  const client = await pool.asPgPool().connect()
  await pipeline(Readable.from(['1\tone\n', '2\ttwo\n']), client.query(from('copy item from stdin')))
  const chunks: string[] = []
  await pipeline(
    client.query(to('copy item to stdout')),
    new Writable({
      write(chunk, _, done) {
        chunks.push(String(chunk))
        done()
      },
    }),
  )
  expect(chunks.join('')).toBe('1\tone\n2\ttwo\n')
  await expect(
    pipeline(Readable.from(['1\tagain\n']), client.query(from('copy item from stdin'))),
  ).rejects.toMatchObject({
    code: '23505',
  })
  expect((await client.query('select count(*)::int as n from item')).rows).toEqual([{ n: 2 }])
  client.release()
  expect(pool.stats()).toMatchObject({ pool: { active: 0, idle: 1, total: 1 } })
})

test("pg's own Query calls back, and emits its rows", async () => {
  const client = await testPool(database.url).asPgPool().connect()
  const rows: unknown[] = []
  const query = client.query(new pg.Query('select 1 as one'))
  query.on('row', (row) => rows.push(row))
  await new Promise((resolve) => query.on('end', resolve))
  expect(rows).toEqual([{ one: 1 }])
  client.release()
})

test('a session killed under a stream, and a server that is not there, are told to the stream alone', async () => {
  const pool = testPool(database.url, { max: 1 })
  const client = await pool.asPgPool().connect()
  const pid = (client as unknown as { processID: number }).processID
  const stream = client.query(new QueryStream('select g, pg_sleep(0.001) from generate_series(1, 100000) g'))
  const read = (async () => {
    for await (const _ of stream);
  })()
  const failed = rejection(read)
  const admin = new pg.Client(database.url)
  await admin.connect()
  await admin.query('select pg_terminate_backend($1)', [pid])
  await admin.end()
  expect(await failed).toMatchObject({ code: '57P01' })
  client.release()
  expect((await pool.asPgPool().query('select 1 as one')).rows).toEqual([{ one: 1 }])

  const nowhere = testPool('postgres://nobody@127.0.0.1:1/nothing', { acquireTimeoutMs: 50 })
  const unread = nowhere.asPgPool().query(new QueryStream('select 1'))
  const error = await rejection(
    (async () => {
      for await (const _ of unread);
    })(),
  )
  expect(error.code).toMatch(/^LIFEGUARD_/)
})
