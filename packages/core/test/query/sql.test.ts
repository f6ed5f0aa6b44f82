import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { InvalidArgumentError, type QueryResult, type Sql, sql } from '../../src/index.js'
import { seeded } from '../support/seeded.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: 'create table note (id int primary key, body text, tags text[], extra jsonb); create table "or""der" (n int)',
})

/** The text with every placeholder taken out, so that nothing of a value may be left in it. */
const withoutPlaceholders = (text: string): string => text.replaceAll(/\$\d+/g, '')

describe('the text', () => {
  test('has a placeholder where a value stands', () => {
    const { text, values } = sql`select * from note where id = ${7} and body = ${'x'}`
    expect(text).toBe('select * from note where id = $1 and body = $2')
    expect(values).toEqual([7, 'x'])
  })

  test('counts on through pieces that are nested', () => {
    const inner = sql`b = ${2} and c = ${3}`
    const { text, values } = sql`select ${1} where ${inner} or (${inner}) limit ${4}`
    expect(text).toBe('select $1 where b = $2 and c = $3 or (b = $4 and c = $5) limit $6')
    expect(values).toEqual([1, 2, 3, 2, 3, 4])
  })

  test('is made once for each place in the source', () => {
    const make = (id: number): Sql => sql`select ${id}`
    expect(make(1).text).toBe(make(2).text)
    expect(make(1).values).not.toBe(make(2).values)
  })

  test('quotes names, whatever they contain', () => {
    expect(sql`select * from ${sql.identifier('or"der; drop table note --')}`.text).toBe(
      'select * from "or""der; drop table note --"',
    )
    expect(sql.identifier('audit', 'a.b').text).toBe('"audit"."a.b"')
    for (const wrong of [[], [''], ['a\0b']]) expect(() => sql.identifier(...wrong)).toThrow(InvalidArgumentError)
  })

  test('joins pieces and values', () => {
    expect(sql.join([1, sql`now()`, 'x']).text).toBe('$1, now(), $2')
    const conditions = sql.join([sql`a = ${1}`, sql`b = ${2}`], sql` and `)
    expect(sql`where ${conditions}`).toMatchObject({ text: 'where a = $1 and b = $2', values: [1, 2] })
    expect(sql.join([]).text).toBe('')
    expect(() => sql.join([1], ', ' as never)).toThrow('separator is of type string')
  })

  test('lists values', () => {
    expect(sql`id in ${sql.list([1, 2, 3])}`).toMatchObject({ text: 'id in ($1, $2, $3)', values: [1, 2, 3] })
    expect(sql`id in ${sql.list([])}`.text).toBe('id in (null)')
  })

  test('holds rows of values', () => {
    expect(
      sql.values([
        [1, 'a'],
        [2, sql`default`],
      ]),
    ).toMatchObject({ text: '($1, $2), ($3, default)', values: [1, 'a', 2] })
    expect(sql.values([{ id: 1, body: 'a', more: 0 }], ['body', 'id'])).toMatchObject({
      text: '($1, $2)',
      values: ['a', 1],
    })
    expect(() => sql.values([[1, 2], [3]])).toThrow(
      'row 2 of sql.values is of 1 values; allowed: 2, as in the first row',
    )
    expect(() => sql.values([])).toThrow('sql.values is without a row')
    expect(() => sql.values([{ id: 1 } as { id: number; body?: string }], ['id', 'body'])).toThrow(
      'body of row 1 of sql.values is undefined',
    )
  })

  test('can be text of the author that is trusted', () => {
    expect(sql`select 1 ${sql.unsafe('order by 1')}`.text).toBe('select 1 order by 1')
    expect(() => sql.unsafe(7 as never)).toThrow(InvalidArgumentError)
  })
})

describe('mistakes', () => {
  test('undefined names its place, and no value', () => {
    expect(() => sql`select * from note where id = ${7} and body = ${undefined}`).toThrow(
      'value 2 of the statement (behind "and body =") is undefined',
    )
    expect(() => sql.list(['secret', undefined])).toThrow('value 2 of sql.list is undefined')
    expect(() => sql.join([undefined])).toThrow('part 1 of sql.join is undefined')
    expect(() => sql.json(undefined)).toThrow('the value of sql.json is undefined')
    expect(() => sql`select ${() => 1}`).toThrow('is a function')
  })

  test('a call as a function is refused', () => {
    expect(() => (sql as unknown as (text: string) => Sql)('select 1')).toThrow('sql is called as a function')
    expect(() => (sql as unknown as (text: string[]) => Sql)(['select 1', '2'])).toThrow('sql is called as a function')
  })

  test('nor is an array a template that somebody has put together to look like one', () => {
    const text = (): string[] => ['drop table item']
    const raw = { value: text() }
    for (const fake of [
      Object.assign(text(), { raw: text() }),
      Object.freeze(Object.assign(text(), { raw: Object.freeze(text()) })),
      Object.defineProperty(text(), 'raw', raw),
      Object.freeze(Object.defineProperty(text(), 'raw', { value: text() })),
      Object.freeze(Object.defineProperty(text(), 'raw', { value: Object.freeze([]) })),
      Object.setPrototypeOf(text(), Object.assign(Object.create(Array.prototype), { raw: text() })),
      { 0: 'drop table item', length: 1, raw: text() },
      { raw: text() },
      null,
      undefined,
    ]) {
      expect(() => (sql as unknown as (fake: unknown) => Sql)(fake)).toThrow('sql is called as a function')
      expect(() => (sql.fragment as unknown as (fake: unknown) => Sql)(fake)).toThrow('sql is called as a function')
    }
    const template = ((strings: TemplateStringsArray, _: number) => strings)`select ${1}` // of two strings, with no value
    expect(() => sql(template)).toThrow('sql is called as a function')
  })

  test('more than 65535 values are refused', () => {
    const numbers = Array.from({ length: 65_536 }, (_, index) => index)
    expect(() => sql`select ${sql.list(numbers)}`).toThrow('with 65536 values')
    expect(sql`select ${sql.list(numbers.slice(1))}`.values).toHaveLength(65_535)
  })

  test('a statement cannot be changed', () => {
    const statement = sql`select ${1}`
    expect(() => (statement.values as unknown[]).push(2)).toThrow(TypeError)
    expect(() => Object.assign(statement, { text: 'drop table note' })).toThrow(TypeError)
  })
})

const nasty = [
  "'; drop table note; --",
  '"; drop table note; --',
  '\\',
  "\\'; drop table note; --",
  '$$; drop table note; $$',
  '$body$ drop table note $body$',
  '/* */ -- /*',
  '$1',
  `$${'{1}'}`,
  "U&'\\0027'",
  '\u02bc; drop table note',
  '\n;\r\t',
  "E'\\x27'",
]

describe('injection', () => {
  test.each(nasty)('%j comes back as it was given', async (value) => {
    const pool = testPool(database.url, { max: 1 })
    const statement = sql<{
      a: string
      b: string
      c: string[]
    }>`select ${value}::text as a, ${value} || '' as b, ${[value, value]}::text[] as c`
    expect(withoutPlaceholders(statement.text)).toBe("select ::text as a,  || '' as b, ::text[] as c")
    const { rows } = await pool.query(statement)
    expect(rows).toEqual([{ a: value, b: value, c: [value, value] }])
    await pool.query(
      sql`insert into note (id, body, tags, extra) values (1, ${value}, ${[value]}, ${sql.json({ value })})`,
    )
    const found = await pool.query(sql`select body, tags, extra from note where body in ${sql.list([value])}`)
    expect(found.rows).toEqual([{ body: value, tags: [value], extra: { value } }])
    await pool.query(sql`delete from note`)
  })

  test.each(nasty)('a name %j is a name', async (name) => {
    const pool = testPool(database.url, { max: 1 })
    await pool.withTransaction(async (tx) => {
      await tx.query(sql`create temp table ${sql.identifier(name)} (${sql.identifier(name)} int) on commit drop`)
      await tx.query(sql`insert into ${sql.identifier('pg_temp', name)} values ${sql.values([[1], [2]])}`)
      const { rows } = await tx.query(sql`select ${sql.identifier(name)} from ${sql.identifier(name)} order by 1`)
      expect(rows.map((row) => Object.values(row))).toEqual([[1], [2]])
    })
    expect((await pool.query('select count(*)::int as n from note')).rows).toEqual([{ n: 0 }])
  })

  test('a zero byte is refused by the server, and hurts nobody', async () => {
    const pool = testPool(database.url, { max: 1 })
    expect(await rejection(pool.query(sql`select ${'a\0b'}::text`))).toMatchObject({ code: '22021' })
    expect((await pool.query(sql`select ${1}::int as n`)).rows).toEqual([{ n: 1 }])
  })

  test('a value inside of quotes is an error, not a hole', async () => {
    const pool = testPool(database.url, { max: 1 })
    expect(await rejection(pool.query(sql`select '${'x'}'`))).toMatchObject({ code: '08P01' })
  })

  test('whatever a value is, the text holds placeholders only', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.jsonValue(), fc.date()), { minLength: 1 }),
        (given) => {
          const rows = given.map((value) => [value, value])
          const { text, values } =
            sql`a ${given[0]} b ${sql.list(given)} c ${sql.values(rows)} d ${sql.join(given)} e ${sql.json(given)}`
          const placeholders = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number))
          expect(placeholders).toEqual(values.map((_, index) => index + 1))
          expect(withoutPlaceholders(text)).toMatch(/^a {2}b \([, ]*\) c [(), ]* d [, ]* e $/)
          expect(values).toHaveLength(2 + 4 * given.length)
        },
      ),
      seeded(100),
    )
  })
})

test('types of rows travel with the statement', async () => {
  const pool = testPool(database.url, { max: 1 })
  interface Note {
    readonly id: number
  }
  const statement = sql<Note>`select ${1}::int as id`
  const result = await pool.query(statement)
  expectTypeOf(result).toEqualTypeOf<QueryResult<Note>>()
  expectTypeOf(await pool.query('select 1')).toEqualTypeOf<QueryResult<Record<string, unknown>>>()
  expectTypeOf(await pool.query<Note>({ text: 'select 1' })).toEqualTypeOf<QueryResult<Note>>()
  const ids: number[] = []
  for await (const { id } of pool.stream(statement)) ids.push(id)
  await pool.withTransaction(async (tx) => {
    expectTypeOf(await tx.query(statement)).toEqualTypeOf<QueryResult<Note>>()
    for await (const { id } of tx.stream(statement, { batchSize: 1 })) ids.push(id)
  })
  expect(ids).toEqual([1, 1])
})
