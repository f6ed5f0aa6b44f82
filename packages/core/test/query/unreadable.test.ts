import { useDatabase } from '@pg-lifeguard/testing/vitest'
import type pg from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import { classify, type Pool, type StatementConfig, UnreadableResultError } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create table item (id int primary key);
    create table later (id int primary key, item int references item deferrable initially deferred);
    create function add(id int) returns int language sql as $$ insert into item values (id) returning id $$;
    create procedure put(inout id int) language plpgsql as $$ begin insert into item values (id); end $$`,
})

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url, { max: 1 })
  await pool.query('truncate item, later')
})

/** What was committed, as another session sees it. */
async function items(): Promise<number[]> {
  const { rows } = await testPool(database.url, { max: 1 }).query<{ id: number }>('select id from item order by id')
  return rows.map(({ id }) => id)
}

/** Nothing was lost, nothing is held, and the connection answers for itself. */
async function isSound(): Promise<void> {
  expect((await pool.query('select 7 as n')).rows).toEqual([{ n: 7 }])
  expect(pool.stats()).toMatchObject({ pool: { opened: 1, active: 0 }, waits: { waiting: 0 } })
}

const thrown = Object.assign(new Error('no such value'), { code: '40001' })
const parserThrows = {
  getTypeParser: () => () => {
    throw thrown
  },
}
const lookUpThrows = {
  getTypeParser: (): never => {
    throw thrown
  },
}
const noParsers = {} as typeof parserThrows
const noFunction = { getTypeParser: () => undefined as unknown as () => never }

const insert = (id: number): string => `insert into item values (${id}) returning id`

describe('of what has committed', () => {
  const ways: readonly (readonly [string, (statement: StatementConfig) => Promise<unknown>])[] = [
    ['pool.query', (statement) => pool.query(statement)],
    [
      'a connection of its own',
      async (statement) => {
        await using connection = await pool.acquire()
        await connection.query(statement)
      },
    ],
    ['a batch', (statement) => pool.batch([{ text: 'select 1' }, statement, { text: 'select 2' }])],
    ['batchTogether', (statement) => pool.batchTogether([() => pool.query('select 1'), () => pool.query(statement)])],
    ['the view of pg.Pool', (statement) => pool.asPgPool().query(statement as pg.QueryConfig)],
    [
      'a client of the view',
      async (statement) => {
        const client = await pool.asPgPool().connect()
        try {
          await client.query(statement as pg.QueryConfig)
        } finally {
          client.release()
        }
      },
    ],
  ]
  test.each(ways)('%s says so, and is not run again', async (_, run) => {
    const error = await rejection(run({ text: insert(1), types: parserThrows }))
    expect(error).toBeInstanceOf(UnreadableResultError)
    expect(error).toMatchObject({ outcome: 'committed', retryable: false, cause: thrown })
    expect(error.message).toContain('committed')
    expect(classify(error)).toBe('user')
    expect(await items()).toEqual([1])
    await isSound()
  })

  test.each([
    ['a function that writes', 'select add(1)'],
    ['a procedure', 'call put(1)'],
    ['a CTE', 'with new as (insert into item values (1) returning id) select id from new'],
    ['several statements in one text', "select 'a'; insert into item values (1) returning id"],
    ['a transaction in one text', 'begin; insert into item values (1) returning id; commit'],
    ['what came after a rollback', "select 'a'; rollback; insert into item values (1) returning id"],
  ])('by %s', async (_, text) => {
    expect(await rejection(pool.query({ text, types: parserThrows }))).toMatchObject({
      outcome: 'committed',
    })
    expect(await items()).toEqual([1])
    await isSound()
  })

  test.each([
    ['a getTypeParser that throws', lookUpThrows],
    ['no getTypeParser at all', noParsers],
    ['one that gives no function', noFunction],
  ])('with %s', async (_, types) => {
    expect(await rejection(pool.query({ text: insert(1), types }))).toMatchObject({ outcome: 'committed' })
    expect(
      await rejection(
        pool.batch([
          { text: insert(2), types },
          { text: insert(3), types },
        ]),
      ),
    ).toMatchObject({ outcome: 'committed', index: 0 })
    expect(await items()).toEqual([1, 2, 3])
    await isSound()
  })

  test.each([undefined, null, 'a text', 7])('also when what is thrown is no error: %s', async (what) => {
    const types = {
      getTypeParser: () => () => {
        throw what
      },
    }
    expect(await rejection(pool.query({ text: insert(1), types }))).toMatchObject({ outcome: 'committed' })
    await expect(pool.query({ text: 'select 1', types })).rejects.toSatisfy(
      (error) => error instanceof Error && error.cause === what,
    )
    expect(await items()).toEqual([1])
    await isSound()
  })

  test('a batch of one text again and again, of which a later one finds no parser', async () => {
    let asked = 0
    const types = {
      getTypeParser: () => {
        asked += 1
        if (asked > 1) throw thrown
        return String
      },
    }
    const text = 'insert into item values ($1) returning id'
    const statements = [1, 2, 3].map((id) => ({ text, values: [id], types }))
    expect(await rejection(pool.batch(statements))).toMatchObject({ outcome: 'committed', index: 1 })
    expect(await items()).toEqual([1, 2, 3])
    await isSound()
  })
})

describe('of what has not', () => {
  test('an error of the server is what counts: nothing took effect', async () => {
    const failing = 'insert into item select 1 / (3 - g) from generate_series(1, 5) g returning id'
    expect(await rejection(pool.query({ text: failing, types: parserThrows }))).toMatchObject({ code: '22012' })
    const deferred = { text: 'insert into later values (1, 99) returning id', types: parserThrows }
    expect(await rejection(pool.query(deferred))).toMatchObject({ code: '23503' })
    expect(await rejection(pool.batch([deferred]))).toMatchObject({
      code: 'LIFEGUARD_BATCH_FAILED',
      cause: { code: '23503' },
    })
    await isSound()
  })

  test('what only reads is told as the parser said it', async () => {
    const read = { text: 'select 1 as n', types: parserThrows }
    expect(await rejection(pool.query(read))).toBe(thrown)
    expect(await rejection(pool.batch([read, { text: 'select 2' }]))).toBe(thrown)
    await isSound()
  })

  test('so is what the same text rolls back', async () => {
    const text = `begin; ${insert(1)}; rollback`
    expect(await rejection(pool.query({ text, types: parserThrows }))).toBe(thrown)
    expect(await items()).toEqual([])
    await isSound()
  })

  test.each<readonly [string, (statement: StatementConfig) => Promise<unknown>]>([
    ['query', (statement) => pool.query(statement)],
    ['batch', (statement) => pool.batch([statement])],
    ['batchTogether', (statement) => pool.batchTogether([() => pool.query(statement)])],
  ])('in a transaction it is the error of the callback, which runs once and is rolled back: %s', async (_, run) => {
    for (const types of [parserThrows, lookUpThrows]) {
      let runs = 0
      const error = await rejection(
        pool.withTransaction(async () => {
          runs += 1
          await run({ text: insert(1), types })
        }),
      )
      expect(error).toBe(thrown)
      expect(runs).toBe(1)
    }
    expect(await items()).toEqual([])
    await isSound()
  })

  test('a transaction that a client of the view has begun', async () => {
    const client = await pool.asPgPool().connect()
    await client.query('begin')
    expect(await rejection(client.query({ text: insert(1), types: parserThrows } as pg.QueryConfig))).toBe(thrown)
    await client.query('rollback')
    client.release()
    expect(await items()).toEqual([])
    await isSound()
  })

  test.each([
    ['a parser', parserThrows],
    ['the look-up of one', lookUpThrows],
  ])('a stream, when %s throws, ends its transaction', async (_, types) => {
    const read = async (): Promise<void> => {
      for await (const row of pool.stream(
        { text: 'insert into item select generate_series(1, 9) returning id', types },
        { batchSize: 2 },
      ))
        expect(row).toBe('never')
    }
    expect(await rejection(read())).toBe(thrown)
    expect(await items()).toEqual([])
    await isSound()
  })

  test('a stream in a transaction leaves no portal behind, whenever a parser throws', async () => {
    for (const good of [0, 1, 3]) {
      let asked = 0
      const types = {
        getTypeParser: () => {
          asked += 1
          if (asked > good) throw thrown
          return String
        },
      }
      const portals = await pool.withTransaction(async (tx) => {
        const statement = { text: 'select generate_series(1, 20)', types }
        const read = async (): Promise<void> => {
          for await (const _ of tx.stream(statement, { batchSize: 2 })) expect(_).toBeDefined()
        }
        expect(await rejection(read())).toBe(thrown)
        return (await tx.query("select name from pg_cursors where name like 'lifeguard%'")).rows
      })
      expect(portals).toEqual([])
    }
    await isSound()
  })
})

describe('a parser that a prepared statement finds missing, run by run', () => {
  test.each(['pool.query', 'withTransaction'])('%s', async (how) => {
    for (let n = 1; n <= 4; n++) {
      const statement = { text: 'select $1::int as n', values: [n], types: lookUpThrows }
      const good = { text: 'select $1::int as n', values: [n] }
      if (how === 'pool.query') expect(await rejection(pool.query(statement))).toBe(thrown)
      else expect(await rejection(pool.withTransaction((tx) => tx.query(statement)))).toBe(thrown)
      expect((await pool.query(good)).rows).toEqual([{ n }])
    }
    await isSound()
  })
})
