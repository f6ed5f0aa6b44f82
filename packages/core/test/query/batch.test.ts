import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { BatchError, classify, type QueryResult, type StatementConfig, sql, sqlStateOf } from '../../src/index.js'
import { roundTrips } from '../support/round-trips.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create table item (id int primary key, name text);
    create table later (id int primary key, item int references item deferrable initially deferred)`,
})
const empty = async (): Promise<number> => {
  const { rows } = await testPool(database.url, { max: 1 }).query<{ n: number }>('select count(*)::int as n from item')
  return rows[0]?.n ?? -1
}
beforeEach(async () => {
  await testPool(database.url, { max: 1 }).query('truncate item, later')
})

const insert = (id: number): StatementConfig => sql`insert into item values (${id}, ${`item ${id}`})`

describe('a batch', () => {
  test('is one round trip, with the result of each statement', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    await pool.query('select 1')
    const before = await roundTrips(proxy)
    const [inserted, , all, nothing] = await pool.batch([
      sql<{ id: number }>`insert into item values (1, 'a') returning id`,
      sql`update item set name = ${'b'}`,
      sql<{ name: string }>`select name from item`,
      { text: 'select 1 as n where false', rowMode: 'array' },
    ])
    expect((await roundTrips(proxy)) - before).toBe(1)
    expect(inserted).toMatchObject({ command: 'INSERT', rowCount: 1, rows: [{ id: 1 }] })
    expect(all.rows).toEqual([{ name: 'b' }])
    expect(nothing).toMatchObject({ rows: [], rowCount: 0, command: 'SELECT' })
    expect(nothing.fields.map(({ name }) => name)).toEqual(['n'])
    expectTypeOf(inserted).toEqualTypeOf<QueryResult<{ id: number }>>()
    expectTypeOf(nothing).toEqualTypeOf<QueryResult>()
  })

  test('of one text parses it once, and binds it as often as it stands there', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    await pool.query('select 1')
    const parses = async (): Promise<number> => (await proxy.stats()).messages.toServer['Parse'] ?? 0
    const before = await parses()
    const results = await pool.batch(
      Array.from({ length: 50 }, (_, id) => sql<{ id: number }>`insert into item values (${id}, 'x') returning id`),
    )
    expect((await parses()) - before).toBe(1)
    expect(results.map(({ rows }) => rows)).toEqual(Array.from({ length: 50 }, (_, id) => [{ id }]))
  })

  test('that is empty does nothing', async () => {
    const pool = testPool(database.url)
    expect(await pool.batch([])).toEqual([])
    expect(pool.stats().pool.total).toBe(0)
  })

  test('may hold an empty statement, types and values of every kind', async () => {
    const pool = testPool(database.url, { max: 1 })
    const day = new Date(2026, 0, 2, 3, 4, 5)
    const [none, one, two] = await pool.batch([
      { text: '' },
      sql`select ${day}::timestamptz as at, ${Buffer.from([1, 2])}::bytea as bytes, ${[1, 2]}::int[] as list, ${null}::int as none`,
      { text: 'select 1::int8 as n', types: { getTypeParser: () => (text) => BigInt(text) } },
    ])
    expect(none).toMatchObject({ rows: [], rowCount: null })
    expect(one.rows).toEqual([{ at: day, bytes: Buffer.from([1, 2]), list: [1, 2], none: null }])
    expect(two.rows).toEqual([{ n: 1n }])
  })
})

describe('a batch that fails', () => {
  test('says which statement and why, and leaves nothing behind', async () => {
    const pool = testPool(database.url, { max: 1 })
    const error = await rejection(pool.batch([insert(1), insert(2), insert(1), insert(3)]))
    expect(error).toBeInstanceOf(BatchError)
    expect(error).toMatchObject({
      code: 'LIFEGUARD_BATCH_FAILED',
      index: 2,
      size: 4,
      statement: 'insert into item values ($1, $2)',
      retryable: false,
      cause: { code: '23505', table: 'item' },
    })
    expect(error.message).toContain('statement 2 of a batch of 4 failed, and nothing of the batch took effect')
    expect(sqlStateOf(error)).toBe('23505')
    expect(classify(error)).toBe('contended')
    expect(error.stack).toContain('batch.test.ts')
    expect(error.message).not.toContain('item 1')
    expect(await empty()).toBe(0)
    expect(pool.stats()).toMatchObject({ pool: { total: 1, idle: 1 } })
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test.each([0, 1, 5])('at statement %i', async (at) => {
    const pool = testPool(database.url, { max: 1 })
    const statements = Array.from({ length: 6 }, (_, index) => (index === at ? sql`select 1/0` : insert(index)))
    expect(await rejection(pool.batch(statements))).toMatchObject({ index: at, cause: { code: '22012' } })
    expect(await empty()).toBe(0)
  })

  test('at its commit has no index', async () => {
    const pool = testPool(database.url, { max: 1 })
    const error = await rejection(pool.batch([insert(1), sql`insert into later values (1, 99)`]))
    expect(error).toMatchObject({ code: 'LIFEGUARD_BATCH_FAILED', index: undefined, cause: { code: '23503' } })
    expect(await empty()).toBe(0)
  })

  test.each([
    'begin',
    'START TRANSACTION',
    '/* a /* b */ c */ commit',
    '-- x\n rollback',
    ' end;',
    'savepoint a',
    'release a',
    'abort',
    "prepare transaction 'x'",
    'start/**/transaction',
    'start--\rtransaction isolation level serializable',
    `start /* ${'x'.repeat(80)} */ transaction`,
    "prepare/*;*/transaction 'x'",
    ';; commit',
  ])('%j is refused before anything is sent', async (text) => {
    const pool = testPool(database.url)
    expect(await rejection(pool.batch([insert(1), { text }]))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
    expect(pool.stats().pool.total).toBe(0)
  })

  test('COPY is refused, and says where it is', async () => {
    expect((await rejection(testPool(database.url).batch([{ text: 'copy item from stdin' }]))).message).toContain(
      'copyFrom',
    )
  })

  test.each([
    ['several statements', 'insert into item values (9); insert into item values (10)'],
    ['what commits by itself', 'vacuum'],
    ['a procedure that commits', 'do $$ begin insert into item values (9); commit; end $$'],
  ])('%s: refused by the server, also in the first place', async (_, text) => {
    const pool = testPool(database.url, { max: 1 })
    for (const statements of [
      [{ text }, insert(1)],
      [insert(1), { text }],
    ]) {
      expect(await rejection(pool.batch(statements))).toMatchObject({ code: 'LIFEGUARD_BATCH_FAILED' })
      expect(await empty()).toBe(0)
    }
  })

  test('a value that cannot be sent stops all of it', async () => {
    const pool = testPool(database.url, { max: 1 })
    const value = {
      toPostgres: () => {
        throw new Error('no')
      },
    }
    expect((await rejection(pool.batch([insert(1), sql`select ${value}`]))).message).toBe('no')
    expect(await empty()).toBe(0)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('a parser that throws is told as it is, and the connection goes on', async () => {
    const pool = testPool(database.url, { max: 1 })
    const types = {
      getTypeParser: () => () => {
        throw new Error('cannot read')
      },
    }
    expect((await rejection(pool.batch([{ text: 'select 1', types }, sql`select 2`]))).message).toBe('cannot read')
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })
})

describe('within limits', () => {
  test('it is cancelled on the server, and undone', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.query('select 1')
    const error = await rejection(pool.batch([insert(1), sql`select pg_sleep(30)`, insert(2)], { timeoutMs: 100 }))
    expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    await eventually('it has been cancelled', () => pool.stats().pool.active === 0)
    expect(await empty()).toBe(0)
  })

  test('a killed session is a lost connection', async () => {
    const pool = testPool(database.url, { max: 1 })
    const error = await rejection(pool.batch([insert(1), sql`select pg_terminate_backend(pg_backend_pid())`]))
    expect(classify(error)).toBe('connection')
    expect(error).not.toBeInstanceOf(BatchError)
    expect(await empty()).toBe(0)
  })

  test('much more than the socket takes goes through, both ways', async () => {
    const pool = testPool(database.url, { max: 1 })
    const text = 'x'.repeat(20_000)
    const results = await pool.batch(
      Array.from(
        { length: 1_000 },
        (_, id) => sql<{ id: number; t: string }>`select ${id}::int as id, ${text}::text as t`,
      ),
    )
    expect(results.every(({ rows }, index) => rows[0]?.id === index && rows[0].t.length === 20_000)).toBe(true)
  })

  test('a failure in the middle of much stops the writing', async () => {
    const pool = testPool(database.url, { max: 1 })
    const text = 'x'.repeat(20_000)
    const statements = Array.from({ length: 2_000 }, (_, id) =>
      id === 3 ? sql`select 1/0` : sql`insert into item values (${id}, ${text})`,
    )
    expect(await rejection(pool.batch(statements))).toMatchObject({ index: 3, size: 2_000 })
    expect(await empty()).toBe(0)
    expect((await pool.batch([insert(1), sql`select 1`]))[1].rowCount).toBe(1)
  })
})

describe('inside of a transaction', () => {
  test('it takes BEGIN along: two round trips for all of it', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    await pool.query('select 1')
    const before = await roundTrips(proxy)
    await pool.withTransaction(
      async (tx) => {
        await tx.batch([insert(1), insert(2), insert(3)])
      },
      { isolation: 'serializable', lockTimeoutMs: 1_000 },
    )
    expect((await roundTrips(proxy)) - before).toBe(2)
    expect(await empty()).toBe(3)
  })

  test('the one of the pool joins, and is undone with the transaction', async () => {
    const pool = testPool(database.url)
    await rejection(
      pool.withTransaction(async () => {
        await pool.batch([insert(1), insert(2)])
        throw new Error('no')
      }),
    )
    expect(await empty()).toBe(0)
  })

  test('a failure is undone with a savepoint around it', async () => {
    const pool = testPool(database.url)
    await pool.withTransaction(async (tx) => {
      await tx.batch([insert(1)])
      await tx
        .withTransaction((inner) => inner.batch([insert(2), insert(1)]))
        .catch((error: unknown) => {
          expect(error).toMatchObject({ index: 1 })
        })
      await tx.batch([insert(3), insert(4)])
    })
    expect(await empty()).toBe(3)
  })

  test('a conflict in a batch is retried with its transaction', async () => {
    const pool = testPool(database.url)
    await pool.batch([insert(1)])
    let runs = 0
    await pool.withTransaction(async (tx) => {
      runs += 1
      const body = runs === 1 ? sql`do $$ begin raise exception using errcode = '40001'; end $$` : sql`select 1`
      await tx.batch([insert(2), body])
    })
    expect(runs).toBe(2)
    expect(await empty()).toBe(2)
  })

  test("a connection of one's own, and a transaction that is ended by hand", async () => {
    const pool = testPool(database.url)
    await using connection = await pool.acquire()
    await connection.batch([insert(1), insert(2)])
    await using tx = await pool.beginTransaction()
    await tx.batch([insert(3)])
    await tx.rollback()
    expect(await empty()).toBe(2)
  })

  test('what fails in BEGIN is told as it is, and no statement runs', async () => {
    const pool = testPool(database.url)
    const error = await rejection(
      pool.withTransaction((tx) => tx.batch([insert(1)]), { settings: { nonsense: '1' }, retry: false }),
    )
    expect(error).not.toBeInstanceOf(BatchError)
    expect(sqlStateOf(error)).toBe('42704')
    expect(await empty()).toBe(0)
  })
})

test('batches side by side each get their own answers', async () => {
  const pool = testPool(database.url, { max: 3 })
  const all = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      pool
        .batch([
          sql<{ n: number }>`select ${n}::int as n`,
          n % 7 === 0 ? sql`select 1/0` : sql<{ n: number }>`select ${n}::int as n`,
        ])
        .then(
          ([first]) => first.rows[0]?.n,
          (error: unknown) => (error instanceof BatchError ? -n : Number.NaN),
        ),
    ),
  )
  expect(all).toEqual(Array.from({ length: 60 }, (_, n) => (n % 7 === 0 ? -n : n)))
  await eventually('all idle', () => pool.stats().pool.active === 0)
})
