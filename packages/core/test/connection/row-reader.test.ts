import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { binaryReader, columnReader, type ValueParser } from '../../src/connection/column-readers.js'
import { type Field, ResultBase, type ResultInternals, type TypeParsers } from '../../src/connection/pg-internals.js'
import { ShapeReader } from '../../src/connection/row-reader.js'
import { seeded } from '../support/seeded.js'
import { anyRow, hostileName, rowBody, type TextColumn, textOf } from '../support/wire-rows.js'

/** So many rows of a shape are read before what reads them is compiled. */
const compiledFrom = 64

function fieldsOf(columns: readonly TextColumn[]): Field[] {
  return columns.map(({ name, oid }) => ({
    name,
    tableID: 0,
    columnID: 0,
    dataTypeID: oid,
    dataTypeSize: -1,
    dataTypeModifier: -1,
    format: 'text',
  }))
}

function resultOf(columns: readonly TextColumn[], rowMode?: 'array', types?: TypeParsers): ResultInternals {
  const result = new ResultBase(rowMode, types)
  result.addFields(fieldsOf(columns))
  return result
}

/** What `fn` gives or throws. */
function outcome(fn: () => unknown): { readonly value: unknown } | { readonly error: string } {
  try {
    return { value: fn() }
  } catch (error) {
    return { error: String(error) }
  }
}

/** Holds our reader against `pg`'s, before it is compiled and after. */
function expectSame(columns: readonly TextColumn[], rowMode?: 'array', types?: TypeParsers): void {
  const result = resultOf(columns, rowMode, types)
  const expected = outcome(() => result.parseRow(columns.map(({ text }) => text)))
  const body = rowBody(columns.map(({ text }) => (text === null ? null : Buffer.from(text))))
  const reader = new ShapeReader(result, false)
  for (const run of [1, compiledFrom + 1]) {
    let found: ReturnType<typeof outcome> = { value: undefined }
    for (let n = 0; n < run; n++) found = outcome(() => reader.read(body, 0, body.length))
    // Not `toStrictEqual`, which takes a column called `constructor` for the class of the row.
    if (!isDeepStrictEqual(found, expected)) expect.unreachable(`${inspect(found)} is not ${inspect(expected)}`)
    if ('value' in expected && 'value' in found && rowMode === undefined)
      expect(Object.keys(found.value as object)).toEqual(Object.keys(expected.value as object))
  }
}

describe('a row is what pg makes of it', () => {
  test('whatever the types and values are', () => {
    fc.assert(
      fc.property(anyRow, fc.constantFrom(undefined, 'array' as const), (columns, mode) => expectSame(columns, mode)),
      seeded(3_000),
    )
  })

  test.each(Object.entries(textOf))('%s', (_name, { oid, text }) => {
    fc.assert(
      fc.property(fc.array(fc.option(text), { minLength: 1, maxLength: 4 }), (texts) =>
        expectSame(texts.map((one, n) => ({ name: `c${n}`, oid, text: one }))),
      ),
      seeded(400),
    )
  })

  test('with the parsers of a user, which get the text', () => {
    const types: TypeParsers = {
      getTypeParser: (oid) => (oid === 23 ? (text) => ({ int: text }) : (text) => [text]),
    }
    fc.assert(
      fc.property(anyRow, (columns) => expectSame(columns, undefined, types)),
      seeded(200),
    )
    const thrown = new Error('no such value')
    const throwing: TypeParsers = {
      getTypeParser: () => () => {
        throw thrown
      },
    }
    expectSame([{ name: 'a', oid: 23, text: '1' }], undefined, throwing)
    expectSame([{ name: 'a', oid: 23, text: null }], undefined, throwing)
  })

  test('with names that are code, or that every object has', () => {
    const names = [
      '__proto__',
      'constructor',
      'toString',
      '"]: (process.exit(), 1), ["',
      `\${process.exit()}`,
      '`',
      "'",
      '\\',
      '\\u0022',
      '\u2028',
      '\u2029',
      '\n',
      '*/',
      '//',
      '',
      '0',
      '-1',
      '1e3',
      'v0',
      'b',
      'return',
      '\ud800',
    ]
    for (const name of names) {
      expectSame([
        { name, oid: 25, text: 'one' },
        { name: 'other', oid: 23, text: '2' },
      ])
      expectSame([
        { name, oid: 25, text: 'one' },
        { name, oid: 23, text: null },
      ])
    }
    fc.assert(
      fc.property(fc.array(hostileName, { minLength: 1, maxLength: 8 }), (all) =>
        expectSame(all.map((name, n) => ({ name, oid: 23, text: String(n) }))),
      ),
      seeded(300),
    )
    expect(Object.hasOwn({}, 'polluted')).toBe(false)
  })

  test('of a thousand columns, and of none', () => {
    expectSame(Array.from({ length: 1_000 }, (_, n) => ({ name: `c${n}`, oid: 23, text: String(n) })))
    expectSame([])
  })
})

test('all rows of a shape are of one form, so that the code that reads them is fast', () => {
  const columns = [
    { name: 'b', oid: 23, text: '1' },
    { name: 'a', oid: 25, text: 'x' },
  ]
  const reader = new ShapeReader(resultOf(columns), false)
  const body = rowBody(columns.map(({ text }) => Buffer.from(text)))
  const rows = Array.from({ length: 100 }, () => reader.read(body, 0, body.length))
  expect(new Set(rows.map((row) => JSON.stringify(row)))).toEqual(new Set(['{"b":1,"a":"x"}']))
})

describe('the bytes that it gets', () => {
  test('are those of the row alone, wherever they lie', () => {
    const columns = [
      { name: 'a', oid: 25, text: 'hä 🐘' },
      { name: 'b', oid: 1184, text: '2024-01-31 12:00:00+00' },
    ]
    const body = rowBody(columns.map(({ text }) => Buffer.from(text)))
    const around = Buffer.concat([Buffer.alloc(17, 0x31), body, Buffer.alloc(9, 0x31)])
    const reader = new ShapeReader(resultOf(columns), false)
    expect(reader.read(around, 17, 17 + body.length)).toEqual({ a: 'hä 🐘', b: new Date('2024-01-31T12:00:00Z') })
  })

  test('may be kept by nobody: what is made of them is a copy', () => {
    const reader = new ShapeReader(resultOf([{ name: 'a', oid: 17, text: null }]), true)
    const body = rowBody([Buffer.from([1, 2, 3])])
    const row = reader.read(body, 0, body.length) as { readonly a: Buffer }
    body.fill(0)
    expect([...row.a]).toEqual([1, 2, 3])
  })

  test.each(['interpreted', 'compiled'])('end the session where they are none of such a row: %s', (how) => {
    const columns = [
      { name: 'a', oid: 23, text: '1' },
      { name: 'b', oid: 25, text: 'two' },
    ]
    const reader = new ShapeReader(resultOf(columns), false)
    const body = rowBody(columns.map(({ text }) => Buffer.from(text)))
    for (let n = 0; n < (how === 'compiled' ? 100 : 1); n++) reader.read(body, 0, body.length)
    const broken = [
      rowBody([Buffer.from('1')]),
      rowBody([Buffer.from('1'), Buffer.from('two'), null]),
      body.subarray(0, body.length - 1),
      Buffer.concat([body, Buffer.from([0])]),
      Buffer.from([0xff, 0xff]),
      Buffer.alloc(0),
    ]
    const longer = Buffer.from(body)
    longer.writeInt32BE(0x7fff_ffff, 2)
    const negative = Buffer.from(body)
    negative.writeInt32BE(-2, 2)
    for (const one of [...broken, longer, negative])
      expect(() => reader.read(one, 0, one.length)).toThrow(
        expect.objectContaining({ code: 'LIFEGUARD_PROTOCOL_VIOLATION' }),
      )
  })
})

test.each([
  [17, '\\'],
  [17, 'a\\'],
  [17, 'a\\\\\\b'],
  [17, '\\12'],
  [17, '\\129'],
  [1001, '{"\\\\x00","\\\\q"}'],
])('bytes in a form that is none, over which the parser of pg never ends, are a broken row: %i %j', (oid, text) => {
  const reader = new ShapeReader(resultOf([{ name: 'a', oid, text }]), false)
  const body = rowBody([Buffer.from(text)])
  expect(() => reader.read(body, 0, body.length)).toThrow('bytes in a form that is none')
})

describe('the binary format', () => {
  const parserOf = (oid: number): ValueParser => pg.types.getTypeParser(oid as never, 'text') as ValueParser

  test('gives the same points in time as the text', () => {
    const epoch = BigInt(Date.UTC(2000, 0, 1)) * 1_000n
    const read = binaryReader(1184, parserOf(1184))
    // From 4713 BC to 294276 AD, in microseconds since 2000.
    const micros = fc.bigInt({ min: -211_813_488_000_000_000n, max: 9_223_371_331_199_999_999n })
    fc.assert(
      fc.property(micros, (value) => {
        const bytes = Buffer.alloc(8)
        bytes.writeBigInt64BE(value)
        const all = value + epoch
        const ms = all / 1_000n - (all < 0n && all % 1_000n !== 0n ? 1n : 0n)
        expect(read?.(bytes, 0, 8)).toEqual(new Date(Number(ms)))
      }),
      seeded(5_000),
    )
    const edges: [bigint, number][] = [
      [0x7fff_ffff_ffff_ffffn, Number.POSITIVE_INFINITY],
      [-0x8000_0000_0000_0000n, Number.NEGATIVE_INFINITY],
    ]
    for (const [value, expected] of edges) {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(value)
      expect(read?.(bytes, 0, 8)).toBe(expected)
      expect(
        columnReader(parserOf(1184))(Buffer.from(expected > 0 ? 'infinity' : '-infinity'), 0, expected > 0 ? 8 : 9),
      ).toBe(expected)
    }
  })

  test('is asked for where no parser of a user has the type', () => {
    const columns = [
      { name: 'a', oid: 23, text: null },
      { name: 'b', oid: 17, text: null },
      { name: 'c', oid: 1184, text: null },
      { name: 'd', oid: 1114, text: null },
    ]
    expect(new ShapeReader(resultOf(columns), true).formats).toEqual(Buffer.from([0, 4, 0, 0, 0, 1, 0, 1, 0, 0]))
    expect(new ShapeReader(resultOf(columns), false).formats).toBeUndefined()
    const own: TypeParsers = { getTypeParser: () => (text) => text }
    expect(new ShapeReader(resultOf(columns, undefined, own), true).formats).toBeUndefined()
  })

  test('of a point in time has eight bytes', () => {
    const reader = new ShapeReader(resultOf([{ name: 'a', oid: 1184, text: null }]), true)
    const body = rowBody([Buffer.alloc(7)])
    expect(() => reader.read(body, 0, body.length)).toThrow(
      expect.objectContaining({ code: 'LIFEGUARD_PROTOCOL_VIOLATION' }),
    )
  })
})
