import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { sql, type TypeChoices } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

async function read(expression: string, types?: TypeChoices): Promise<unknown> {
  const pool = testPool(database.url, { max: 1, ...(types === undefined ? {} : { types }) })
  const { rows } = await pool.query<{ v: unknown }>(`select ${expression} as v`)
  return rows[0]?.v
}

describe('values come back', () => {
  test.each<[expression: string, types: TypeChoices | undefined, value: unknown]>([
    ['7::int8', undefined, '7'],
    ['7::int8', {}, '7'],
    ['7::int8', { int8: undefined }, '7'],
    ['7::int8', { int8: 'string' }, '7'],
    ['9223372036854775807', { int8: 'bigint' }, 9_223_372_036_854_775_807n],
    ['9007199254740991', { int8: 'number' }, Number.MAX_SAFE_INTEGER],
    ['-9007199254740991', { int8: 'number' }, Number.MIN_SAFE_INTEGER],
    ["'{1,null,3}'::int8[]", { int8: 'bigint' }, [1n, null, 3n]],
    [
      "'{{1,2},{3,4}}'::int8[]",
      { int8: 'number' },
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ["'{1,null}'::int8[]", undefined, ['1', null]],
    ["'{1,null}'::int8[]", { int8: 'string' }, ['1', null]],
    ['count(*)', { int8: 'number' }, 1],
    ['1.50::numeric', undefined, '1.50'],
    ['1.50::numeric', { numeric: 'number' }, 1.5],
    ["'{1.5,NaN}'::numeric[]", { numeric: 'number' }, [1.5, Number.NaN]],
    ["'{1.50}'::numeric[]", { numeric: 'string' }, ['1.50']],
    ["'2026-01-02'::date", undefined, new Date(2026, 0, 2)],
    ["'2026-01-02'::date", { date: 'string' }, '2026-01-02'],
    ["'{2026-01-02}'::date[]", { date: 'string' }, ['2026-01-02']],
    ["'2026-01-02 03:04:05.123456'::timestamp", { timestamp: 'date' }, new Date(2026, 0, 2, 3, 4, 5, 123)],
    ["'2026-01-02 03:04:05.123456'::timestamp", { timestamp: 'string' }, '2026-01-02 03:04:05.123456'],
    ["'2026-01-02 03:04:05+00'::timestamptz", undefined, new Date('2026-01-02T03:04:05Z')],
    ["array['infinity'::timestamptz]", { timestamptz: 'string' }, ['infinity']],
    ["'2026-01-02 03:04:05.123456+00'::timestamptz", { timestamptz: 'iso' }, '2026-01-02T03:04:05.123456+00:00'],
    [
      "array['infinity','0044-03-15 12:00+00 BC']::timestamptz[]",
      { timestamptz: 'iso' },
      ['infinity', '-000043-03-15T12:00:00+00:00'],
    ],
    ["'2026-01-02 03:04:05.123456'::timestamp", { timestamp: 'iso' }, '2026-01-02T03:04:05.123456'],
    ["'12026-01-02 03:04:05'::timestamp", { timestamp: 'iso' }, '+012026-01-02T03:04:05'],
    [
      "array['2026-01-02','0044-03-15 BC','-infinity']::date[]",
      { date: 'iso' },
      ['2026-01-02', '-000043-03-15', '-infinity'],
    ],
    [`'{"a": 1.0000000000000000001}'::jsonb`, { json: 'string' }, '{"a": 1.0000000000000000001}'],
    [`'{"a":1}'::json`, { json: 'string' }, '{"a":1}'],
    [`array['{"a":1}'::json]`, { json: 'string' }, ['{"a":1}']],
    [`array['{"a":1}'::json]`, { json: 'parsed' }, [{ a: 1 }]],
    ["'1 day 2 hours'::interval", { interval: 'string' }, '1 day 02:00:00'],
    ["'1 day 2 hours'::interval", { interval: 'object' }, expect.objectContaining({ days: 1, hours: 2 })],
    ["'t'::bool", { parsers: { 16: (text) => `<${text}>` } }, '<t>'],
    ['7::int8', { int8: 'bigint', parsers: { 20: (text) => `<${text}>` } }, '<7>'],
    ["'x'::text", { int8: 'bigint' }, 'x'],
    ['null::int8', { int8: 'number' }, null],
  ])('%s with %j', async (expression, types, value) => {
    expect(await read(expression, types)).toEqual(value)
  })

  test('as a number only where that holds all digits', async () => {
    for (const digits of ['9007199254740992', '-9007199254740992', '9223372036854775807']) {
      const error = await rejection(read(digits, { int8: 'number' }))
      expect(error).toBeInstanceOf(RangeError)
      expect(error.message).not.toContain(digits)
    }
    expect(await rejection(read("'{1,9007199254740992}'::int8[]", { int8: 'number' }))).toBeInstanceOf(RangeError)
  })

  test('in streams and batches as in queries, and a statement may say otherwise', async () => {
    const pool = testPool(database.url, { max: 1, types: { int8: 'bigint' } })
    const statement = sql<{ v: unknown }>`select 7::int8 as v`
    const seen: unknown[] = []
    for await (const { v } of pool.stream(statement)) seen.push(v)
    const [{ rows }] = await pool.batch([statement])
    seen.push(rows[0]?.v)
    const own = { text: statement.text, types: { getTypeParser: () => (text: string) => `own ${text}` } }
    seen.push((await pool.query<{ v: unknown }>(own)).rows[0]?.v, (await pool.batch([own]))[0].rows[0]?.['v'])
    expect(seen).toEqual([7n, 7n, 'own 7', 'own 7'])
  })
})

describe('a choice that there is not', () => {
  test.each<[types: object, message: string]>([
    [{ int8: 'int' }, `types.int8 is "int"; allowed: 'string' or 'bigint' or 'number'`],
    [{ int4: 'bigint' }, 'types.int4 is not an option; allowed: int8, numeric'],
    [{ parsers: { int8: Number } }, 'types.parsers.int8 is of type function'],
    [{ parsers: { 20: 'x' } }, 'types.parsers.20 is of type string'],
  ])('%j is refused at once', (types, message) => {
    expect(() => testPool(database.url, { types: types as TypeChoices })).toThrow(message)
  })
  test('so is what is no object', () => {
    expect(() => testPool(database.url, { types: 'bigint' as never })).toThrow(/^types is "bigint"/)
  })
})
