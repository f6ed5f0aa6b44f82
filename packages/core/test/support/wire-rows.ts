import fc from 'fast-check'

/** A column of a row as the server sends it in the text format. */
export interface TextColumn {
  readonly name: string
  readonly oid: number
  readonly text: string | null
}

/** The body of a DataRow: the count of columns, then the length and the bytes of each; -1 for null. */
export function rowBody(values: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(values.length)
  const parts = values.flatMap((value) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : value.length)
    return value === null ? [length] : [length, value]
  })
  return Buffer.concat([count, ...parts])
}

const digits = (n: number, length: number): string => String(n).padStart(length, '0')
const within = (max: number, min = 0): fc.Arbitrary<number> => fc.integer({ min, max })

const day = fc
  .tuple(fc.oneof(within(9_999, 1), within(294_276, 1)), within(12, 1), within(31, 1))
  .map(([y, m, d]) => `${digits(y, 4)}-${digits(m, 2)}-${digits(d, 2)}`)
const fraction = fc.oneof(
  fc.constant(''),
  within(999_999).map((n) => `.${digits(n, 6).replace(/0+$/, '') || '1'}`),
)
const time = fc
  .tuple(within(23), within(59), within(59), fraction)
  .map(([h, m, s, rest]) => `${digits(h, 2)}:${digits(m, 2)}:${digits(s, 2)}${rest}`)
const zone = fc
  .tuple(fc.constantFrom('+', '-'), within(15), fc.constantFrom('', ':30', ':45', ':53:28'))
  .map(([sign, h, rest]) => `${sign}${digits(h, 2)}${rest}`)
const era = fc.constantFrom('', '', '', ' BC')
const endless = fc.constantFrom('infinity', '-infinity')
const timestamp = fc.oneof(
  fc.tuple(day, time, era).map(([d, t, e]) => `${d} ${t}${e}`),
  endless,
)
const timestamptz = fc.oneof(
  fc.tuple(day, time, zone, era).map(([d, t, z, e]) => `${d} ${t}${z}${e}`),
  endless,
)
const float = fc.oneof(
  fc.double().map((n) => String(n).replace('e+', 'e+')),
  fc.tuple(fc.integer(), within(999_999)).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom(
    'NaN',
    'Infinity',
    '-Infinity',
    '-0',
    '0',
    '1e+300',
    '1e-323',
    '0.1',
    '123456789012345',
    '1234567.12345678',
  ),
)
const string = fc
  .oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.constant('x'.repeat(5_000)))
  .map((text) => text.replaceAll('\0', '').toWellFormed())
const hex = fc.uint8Array({ maxLength: 40 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)
const escaped = fc.constantFrom('', 'plain', 'a\\000b', 'a\\\\b', '\\\\x41')
const arrayOf = (element: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(fc.oneof(element, fc.constant('NULL')), { maxLength: 5 }).map((all) => `{${all.join()}}`)
const integer = (bits: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }).map(String)

/** Texts of the types that are built in, as the server writes them. */
export const textOf: Readonly<Record<string, { readonly oid: number; readonly text: fc.Arbitrary<string> }>> = {
  bool: { oid: 16, text: fc.constantFrom('t', 'f') },
  bytea: { oid: 17, text: fc.oneof(hex, escaped) },
  int8: { oid: 20, text: integer(64) },
  int2: { oid: 21, text: integer(16) },
  int4: { oid: 23, text: integer(32) },
  text: { oid: 25, text: string },
  oid: { oid: 26, text: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map(String) },
  json: { oid: 114, text: fc.json() },
  point: { oid: 600, text: fc.tuple(fc.integer(), fc.integer()).map(([x, y]) => `(${x},${y})`) },
  float4: { oid: 700, text: float },
  float8: { oid: 701, text: float },
  circle: { oid: 718, text: fc.constantFrom('<(1,2),3>', '<(0.5,-7),1e+20>') },
  boolArray: { oid: 1000, text: arrayOf(fc.constantFrom('t', 'f')) },
  byteaArray: { oid: 1001, text: fc.constantFrom('{}', '{"\\\\x00ff",NULL}') },
  int2Array: { oid: 1005, text: arrayOf(integer(16)) },
  int4Array: { oid: 1007, text: arrayOf(integer(32)) },
  textArray: {
    oid: 1009,
    text: fc.constantFrom('{}', '{a,"b c",NULL,"NULL","\\"","\\\\"}', '{{a,b},{c,d}}', '[0:1]={x,y}'),
  },
  int8Array: { oid: 1016, text: arrayOf(integer(64)) },
  float8Array: { oid: 1022, text: arrayOf(float) },
  varchar: { oid: 1043, text: string },
  date: {
    oid: 1082,
    text: fc.oneof(
      fc.tuple(day, era).map(([d, e]) => `${d}${e}`),
      endless,
    ),
  },
  time: { oid: 1083, text: time },
  timestamp: { oid: 1114, text: timestamp },
  timestamptz: { oid: 1184, text: timestamptz },
  timestamptzArray: { oid: 1185, text: arrayOf(timestamptz.map((text) => `"${text}"`)) },
  interval: { oid: 1186, text: fc.constantFrom('00:00:00', '1 year 2 mons 3 days 04:05:06.789', '-1 days +02:03:00') },
  numeric: { oid: 1700, text: fc.oneof(float, fc.constant('12345678901234567890.123456789')) },
  uuid: { oid: 2950, text: fc.uuid() },
  jsonb: { oid: 3802, text: fc.json() },
  int4range: { oid: 3904, text: fc.constantFrom('empty', '[1,5)', '(,7]') },
  other: { oid: 99_999, text: string },
}

/** Names that are short, long, doubled, or something else in another language. */
export const hostileName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'id', 'name', '"', "'", '`', '\\', `\${x}`, '\u2028', '*/', '0', '1'),
  fc.string({ unit: 'binary', maxLength: 30 }),
)

const column = fc
  .tuple(hostileName, fc.constantFrom(...Object.values(textOf)))
  .chain(([name, { oid, text }]) =>
    fc.option(text, { freq: 8 }).map((value): TextColumn => ({ name, oid, text: value })),
  )

/** A row of some columns. */
export const anyRow: fc.Arbitrary<TextColumn[]> = fc.array(column, { maxLength: 8 })
