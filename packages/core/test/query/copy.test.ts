import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { type CopyProgress, classify, sql, sqlStateOf } from '../../src/index.js'
import { roundTrips } from '../support/round-trips.js'
import { seeded } from '../support/seeded.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create table item (id int primary key, name text);
    create table every (id int, t text, n numeric, f float8, b bool, at timestamptz, j jsonb, l text[], m int[], y bytea)`,
})
const target = { table: 'item', columns: ['id', 'name'] } as const

async function count(): Promise<number> {
  const { rows } = await testPool(database.url, { max: 1 }).query<{ n: number }>('select count(*)::int as n from item')
  return rows[0]?.n ?? -1
}
beforeEach(async () => {
  await testPool(database.url, { max: 1 }).query('truncate item, every')
})

async function* numbered(many: number, name = 'x'): AsyncGenerator<readonly unknown[]> {
  for (let id = 1; id <= many; id++) yield [id, name]
}

describe('copyFrom', () => {
  test('copies arrays, and tells how far it is', async () => {
    const pool = testPool(database.url, { max: 1 })
    const seen: CopyProgress[] = []
    const result = await pool.copyFrom(target, numbered(20_000, 'a name that takes some room'), {
      onProgress: (progress) => seen.push(progress),
    })
    expect(result.rowCount).toBe(20_000)
    expect(seen.length).toBeGreaterThan(5)
    expect(seen.at(-1)).toEqual({ bytes: result.bytes, rows: 20_000 })
    expect(await count()).toBe(20_000)
    expect(pool.stats()).toMatchObject({ pool: { total: 1, idle: 1 } })
  })

  test('copies objects by the names of their columns', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.copyFrom(target, [
      { name: 'b', id: 2, more: 1 },
      { id: 1, name: null },
    ])
    expect((await pool.query('select * from item order by id')).rows).toEqual([
      { id: 1, name: null },
      { id: 2, name: 'b' },
    ])
  })

  test('writes values of every type as a parameter would', async () => {
    const pool = testPool(database.url, { max: 1 })
    const at = new Date(2026, 1, 3, 4, 5, 6, 789)
    const nasty = 'a\tb\nc\rd\\e\\N\\.f"g\'h,{}\u{1f600}'
    const values = [
      1,
      nasty,
      '12.50',
      -0.1,
      true,
      at,
      { a: nasty },
      [nasty, null, ''],
      [1, 2],
      Buffer.from([0, 92, 10, 255]),
    ]
    const result = await pool.copyFrom({ table: 'every' }, [values, values.map(() => null)])
    expect(result.rowCount).toBe(2)
    const { rows } = await pool.query({ text: 'select * from every', rowMode: 'array' })
    expect(rows).toEqual([[...values], values.map(() => null)])
  })

  test('any text comes back as it was', async () => {
    const pool = testPool(database.url, { max: 1 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\0', '')),
          { maxLength: 30 },
        ),
        async (texts) => {
          await pool.query('truncate item')
          await pool.copyFrom(
            target,
            texts.map((name, id) => [id, name]),
          )
          const { rows } = await pool.query<{ name: string }>('select name from item order by id')
          expect(rows.map(({ name }) => name)).toEqual(texts)
        },
      ),
      seeded(30),
    )
  })

  test.each(['text', 'csv', 'binary'] as const)('takes bytes in %s, as copyTo gives them', async (format) => {
    const pool = testPool(database.url, { max: 2 })
    await pool.copyFrom(target, numbered(5_000, 'some, "quoted"\tname\n'))
    const bytes = await buffer(pool.copyTo({ table: 'item' }, { format }))
    await pool.query('truncate item')
    expect(
      await pool.copyFrom({ ...target, format }, Readable.from([bytes.subarray(0, 777), bytes.subarray(777)])),
    ).toEqual({
      rowCount: 5_000,
      bytes: bytes.length,
    })
    expect((await pool.query('select count(distinct id)::int as n, min(name) as name from item')).rows).toEqual([
      { n: 5_000, name: 'some, "quoted"\tname\n' },
    ])
  })

  test('a csv with a header and signs of its own', async () => {
    const pool = testPool(database.url, { max: 1 })
    const form = { format: 'csv', header: true, delimiter: ';', null: '\\N', quote: "'", escape: '\\' } as const
    await pool.copyFrom({ ...target, ...form }, ['id;name\n', "1;'a\\'b;c'\n2;\\N\n"])
    expect((await pool.query('select * from item order by id')).rows).toEqual([
      { id: 1, name: "a'b;c" },
      { id: 2, name: null },
    ])
    expect(await text(pool.copyTo(sql`select * from item order by id`, form))).toBe("id;name\n1;'a\\'b;c'\n2;\\N\n")
  })

  test('is one round trip and a half, with BEGIN in it', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    await pool.query('select 1')
    const before = await roundTrips(proxy)
    await pool.withTransaction((tx) => tx.copyFrom(target, numbered(10)), { isolation: 'serializable' })
    expect((await roundTrips(proxy)) - before).toBe(2)
    expect(await count()).toBe(10)
  })

  test('joins the transaction around it, and is undone with it', async () => {
    const pool = testPool(database.url)
    await rejection(
      pool.withTransaction(async () => {
        expect((await pool.copyFrom(target, numbered(100))).rowCount).toBe(100)
        expect((await pool.query('select count(*)::int as n from item')).rows).toEqual([{ n: 100 }])
        throw new Error('no')
      }),
    )
    expect(await count()).toBe(0)
  })

  test("can be done on a connection of one's own", async () => {
    const pool = testPool(database.url)
    await using connection = await pool.acquire()
    await connection.query('create temp table mine (id int)')
    await connection.copyFrom({ table: 'mine' }, [[1], [2]])
    expect(await text(connection.copyTo({ table: 'mine' }))).toBe('1\n2\n')
  })
})

describe('a copyFrom that fails leaves nothing behind, and a clean connection', () => {
  async function clean(pool: ReturnType<typeof testPool>): Promise<void> {
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    expect(pool.stats().pool.total).toBe(1)
    expect(await count()).toBe(0)
  }

  test('when its rows throw: their own error', async () => {
    const pool = testPool(database.url, { max: 1 })
    let left = false
    async function* rows(): AsyncGenerator<unknown[]> {
      try {
        yield* numbered(50_000) as AsyncGenerator<unknown[]>
        throw new Error('no more')
      } finally {
        left = true
      }
    }
    expect((await rejection(pool.copyFrom(target, rows()))).message).toBe('no more')
    expect(left).toBe(true)
    await clean(pool)
  })

  test.each([
    [
      'undefined',
      [
        [1, 'a'],
        [2, undefined],
      ],
      'name of row 2 is undefined',
    ],
    ['another number of values', [[1, 'a'], [2]], 'row 2 is of 1 values; allowed: 2'],
    ['no row', [[1, 'a'], 7], 'row 2 is of type number'],
  ])('when a row is wrong: %s', async (_, rows, message) => {
    const pool = testPool(database.url, { max: 1 })
    expect((await rejection(pool.copyFrom(target, rows as never))).message).toContain(message)
    await clean(pool)
  })

  test('when the server refuses a row in the middle', async () => {
    const pool = testPool(database.url, { max: 1 })
    let stopped = false
    async function* rows(): AsyncGenerator<unknown[]> {
      try {
        for (let id = 0; ; id++) yield [id === 20_000 ? 'seven' : id, 'x'.repeat(100)]
      } finally {
        stopped = true
      }
    }
    const error = await rejection(pool.copyFrom(target, rows()))
    expect(sqlStateOf(error)).toBe('22P02')
    expect(error.stack).toContain('copy.test.ts')
    await eventually('the rows are asked for no more', () => stopped)
    await clean(pool)
  })

  test('when the server refuses it at the end', async () => {
    const pool = testPool(database.url, { max: 1 })
    expect(
      sqlStateOf(
        await rejection(
          pool.copyFrom(target, [
            [1, 'a'],
            [1, 'b'],
          ]),
        ),
      ),
    ).toBe('23505')
    await clean(pool)
  })

  test('when it cannot begin: no row is asked for, and the stream is closed', async () => {
    const pool = testPool(database.url, { max: 1 })
    let asked = 0
    const rows = new Readable({ objectMode: true, read: () => (asked += 1) })
    expect(sqlStateOf(await rejection(pool.copyFrom({ table: 'nothing' }, rows)))).toBe('42P01')
    expect(asked).toBe(0)
    expect(rows.destroyed).toBe(true)
    await clean(pool)
  })

  test('when it is aborted while its rows are awaited', async () => {
    const pool = testPool(database.url, { max: 1 })
    const abort = new AbortController()
    async function* rows(): AsyncGenerator<unknown[]> {
      yield* numbered(10_000) as AsyncGenerator<unknown[]>
      abort.abort()
      await new Promise(() => undefined)
    }
    const error = await rejection(pool.copyFrom(target, rows(), { signal: abort.signal }))
    expect(error).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await clean(pool)
  })

  test('when its time is up while it waits for a lock', async () => {
    const pool = testPool(database.url, { max: 1 })
    const other = testPool(database.url, { max: 1 })
    await using tx = await other.beginTransaction()
    await tx.query('lock table item')
    await pool.query('select 1')
    expect(await rejection(pool.copyFrom(target, numbered(10), { timeoutMs: 300 }))).toMatchObject({
      code: 'LIFEGUARD_TIMEOUT',
    })
    await tx.rollback()
    await clean(pool)
  })

  test('when its session is killed', async () => {
    const pool = testPool(database.url, { max: 1 })
    const other = testPool(database.url, { max: 1 })
    let left = false
    async function* rows(): AsyncGenerator<unknown[]> {
      try {
        for (let id = 0; ; id++) {
          if (id === 5_000) {
            await other.query(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy %'`)
          }
          yield [id, 'x']
        }
      } finally {
        left = true
      }
    }
    expect(classify(await rejection(pool.copyFrom(target, rows())))).toBe('connection')
    await eventually('the rows are asked for no more', () => left)
    await clean(pool)
  })

  test('what is wrong with its options is said at once', async () => {
    const pool = testPool(database.url)
    for (const [wrong, message] of [
      [pool.copyFrom({} as never, []), 'the target is of type object'],
      [pool.copyFrom({ table: 'item', columns: [] }, []), 'columns is []'],
      [pool.copyFrom({ table: 'item', format: 'xml' as never }, []), 'format is "xml"'],
      [pool.copyFrom(target, 7 as never), 'rows is of type number'],
    ] as const) {
      expect((await rejection(wrong)).message).toContain(message)
    }
    expect((await rejection(pool.copyFrom({ ...target, format: 'csv' }, [[1, 'a']]))).message).toContain(
      "'text' for rows",
    )
    expect((await rejection(pool.copyFrom({ table: 'item' }, [{ id: 1 }]))).message).toContain('columns is undefined')
  })
})

describe('copyTo', () => {
  test('gives the rows of a query with values, which stay values', async () => {
    const pool = testPool(database.url, { max: 1 })
    for (const value of ["a'b", 'a\\b', "\\'; drop table item; --", '$1', '\t']) {
      const bytes = await text(
        pool.copyTo(
          sql`select ${value}::text = ${value} as same, ${[1, 2]}::int[], ${null}::int, ${Buffer.from([1, 255])}::bytea`,
        ),
      )
      expect(bytes).toBe('t\t{1,2}\t\\N\t\\\\x01ff\n')
    }
    expect(await count()).toBe(0)
  })

  test.each([
    ['inside of quotes', sql`select '${"'; select 1; --"}'`],
    ['inside of a comment', sql`select 1 /* ${'*/ , 2 /*'} */`],
    ['behind a letter', sql`select e${'x'}`],
    ['inside of dollar quotes', sql`select $a$ ${'$a$'} $a$`],
  ])('a value %s is refused', async (_, statement) => {
    const pool = testPool(database.url, { max: 1 })
    expect(sqlStateOf(await rejection(text(pool.copyTo(statement))))).toMatch(/^(08P01|42P18|42703)$/)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('a text with values, and a zero byte in one, are refused at once', () => {
    const pool = testPool(database.url)
    expect(() => pool.copyTo({ text: 'select $1', values: [1] })).toThrow('COPY itself takes no parameters')
    expect(() => pool.copyTo(sql`select ${'a\0b'}`)).toThrow('value 1 of the statement is a string with a zero byte')
  })

  test('ends with a comment, or with what the server says', async () => {
    const pool = testPool(database.url, { max: 1 })
    expect(await text(pool.copyTo(sql`select 1 -- one`))).toBe('1\n')
    expect(sqlStateOf(await rejection(text(pool.copyTo(sql`select 1/0`))))).toBe('22012')
    const late = pool.copyTo(sql`select 1 / (50000 - n) from generate_series(1, 60000) n`)
    expect(sqlStateOf(await rejection(text(late)))).toBe('22012')
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('tells how far it is', async () => {
    const pool = testPool(database.url, { max: 1 })
    const seen: CopyProgress[] = []
    const stream = pool.copyTo(sql`select n, 'some text' from generate_series(1, 50000) n`, {
      format: 'csv',
      header: true,
      onProgress: (progress) => seen.push(progress),
    })
    const bytes = await buffer(stream)
    expect(seen.at(-1)).toEqual({ bytes: bytes.length, rows: 50_000 })
    expect(seen.length).toBeGreaterThan(3)
  })

  test('a reader that stops reading stops the server; going on loses nothing', async () => {
    const pool = testPool(database.url, { max: 1 })
    const stream = pool.copyTo(sql`select n, repeat('x', 100) from generate_series(1, 200000) n`)
    let lines = 0
    let received = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      received += chunk.length
      lines += chunk.toString('latin1').split('\n').length - 1
      if (received % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
      expect(stream.readableLength).toBeLessThan(400_000)
    }
    expect(lines).toBe(200_000)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('large values come whole', async () => {
    const pool = testPool(database.url, { max: 1 })
    const bytes = await buffer(pool.copyTo(sql`select repeat('x', 5000000), n from generate_series(1, 4) n`))
    expect(bytes.length).toBe(4 * 5_000_003)
    expect(bytes.toString('latin1').replaceAll('x', '')).toBe('\t1\n\t2\n\t3\n\t4\n')
  })

  test('large values come in pieces, also behind a statement that is closed with the same message', async () => {
    const pool = testPool(database.url, { max: 1, statementCacheSize: 1 })
    for (const text of ['select 1 as n', 'select 1 as n', 'select 2 as n', 'select 2 as n']) await pool.query(text)
    let most = 0
    for await (const chunk of pool.copyTo(sql`select repeat('x', 5000000)`)) most = Math.max(most, chunk.length)
    expect(most).toBeLessThan(1_000_000)
  })

  test('leaving early cancels on the server, and frees the connection', async () => {
    const pool = testPool(database.url, { max: 1 })
    for await (const chunk of pool.copyTo(
      sql`select repeat('x', 1000) from (select generate_series(1, 100000000)) many`,
    )) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    expect(pool.stats().pool.total).toBe(1)
  })

  test('within a time, also with a reader that does not read', async () => {
    const pool = testPool(database.url, { max: 1 })
    await pool.query('select 1')
    const stream = pool.copyTo(sql`select repeat('x', 1000) from (select generate_series(1, 100000000)) many`, {
      timeoutMs: 300,
    })
    const failed = new Promise((resolve) => stream.once('error', resolve))
    stream.read(0)
    expect(await failed).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    await eventually('the connection is back', () => pool.stats().pool.active === 0)
    expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })

  test('belongs to the transaction around the call, wherever it is read', async () => {
    const pool = testPool(database.url)
    await pool.withTransaction(async (tx) => {
      await tx.query(`insert into item values (1, 'a')`)
      const stream = pool.copyTo({ table: 'item', columns: ['name'] })
      expect(await pool.outsideTransaction(() => text(stream))).toBe('a\n')
      expect((await tx.query('select count(*)::int as n from item')).rows).toEqual([{ n: 1 }])
    })
  })

  test('a killed session is a lost connection', async () => {
    const pool = testPool(database.url, { max: 1 })
    const error = await rejection(text(pool.copyTo(sql`select pg_terminate_backend(pg_backend_pid())`)))
    expect(classify(error)).toBe('connection')
  })

  test('one after the other, mixed with everything else on one connection', async () => {
    const pool = testPool(database.url, { max: 1 })
    for (let round = 0; round < 5; round++) {
      const many = 1 + round * 3_000
      const [copied, , , lines] = await Promise.all([
        pool.copyFrom(
          { table: 'every', columns: ['id'] },
          Array.from({ length: many }, (_, id) => [id]),
        ),
        pool.batch([sql`select 1`, sql`select 2`]),
        rejection(pool.query('select 1/0')),
        text(pool.copyTo(sql`select n from generate_series(1, ${many}::int) n`)),
      ])
      expect(copied.rowCount).toBe(many)
      expect(lines.split('\n')).toHaveLength(many + 1)
    }
    expect(pool.stats()).toMatchObject({ pool: { total: 1, idle: 1 } })
  })
})
