import pg from 'pg'
import textParsers from 'pg-types/lib/textParsers.js'
import { ProtocolViolationError } from '../errors/operation-errors.js'

/** Reads one value that is not null, out of the bytes in which the server has sent it. */
export type ColumnReader = (bytes: Buffer, at: number, end: number) => unknown

/** What is wrong with a row itself, as against whatever a parser of values may throw. */
export class BrokenRow extends ProtocolViolationError {}

/** Makes a value of the text of it. */
export type ValueParser = (text: string) => unknown

const { fromCharCode } = String

/** What stands below `toString`, and that the types of Node do not show: it takes a third less time for a short string. */
interface Slices {
  utf8Slice(at: number, end: number): string
  latin1Slice(at: number, end: number): string
}

function utf8(bytes: Buffer, at: number, end: number): string {
  return (bytes as unknown as Slices).utf8Slice(at, end)
}

/** The string that is in these bytes. A short one of ASCII is put together here: that takes a third of the time of a call to C++. */
export function readString(bytes: Buffer, at: number, end: number): string {
  return end - at <= mostShort ? readShort(bytes, at, end) : utf8(bytes, at, end)
}

const mostShort = 8

function readShort(b: Buffer, at: number, end: number): string {
  for (let n = at; n < end; n++) if ((b[n] as number) > 127) return utf8(b, at, end)
  const [c, d] = [b[at] as number, b[at + 1] as number]
  switch (end - at) {
    case 0:
      return ''
    case 1:
      return fromCharCode(c)
    case 2:
      return fromCharCode(c, d)
    case 3:
      return fromCharCode(c, d, b[at + 2] as number)
    case 4:
      return fromCharCode(c, d, b[at + 2] as number, b[at + 3] as number)
    case 5:
      return fromCharCode(c, d, b[at + 2] as number, b[at + 3] as number, b[at + 4] as number)
    case 6:
      return fromCharCode(c, d, b[at + 2] as number, b[at + 3] as number, b[at + 4] as number, b[at + 5] as number)
    case 7:
      return fromCharCode(
        c,
        d,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
      )
    default:
      return fromCharCode(
        c,
        d,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
      )
  }
}

const zero = 48
const minus = 45
const point = 46
/** So many digits are always exact in a number, and so is each power of ten up to 10^22. */
const exactDigits = 15
const powersOfTen = Array.from({ length: exactDigits + 1 }, (_, n) => 10 ** n)

/** A whole number, as `parseInt` reads it; what is none, or has too many digits, is left to that. */
function readInteger(bytes: Buffer, at: number, end: number): number {
  let n = at
  const isNegative = bytes[n] === minus
  if (isNegative) n += 1
  if (end - n > exactDigits || n === end) return Number.parseInt(readString(bytes, at, end), 10)
  let value = 0
  for (; n < end; n++) {
    const digit = (bytes[n] as number) - zero
    if (digit < 0 || digit > 9) return Number.parseInt(readString(bytes, at, end), 10)
    value = value * 10 + digit
  }
  return isNegative ? -value : value
}

/**
 * A number, as `parseFloat` reads it. Up to 15 digits and a point the result of one division is the nearest number there is,
 * as both sides of it are exact; more digits, exponents and NaN are left to `parseFloat`.
 */
function readFloat(bytes: Buffer, at: number, end: number): number {
  let n = at
  const isNegative = bytes[n] === minus
  if (isNegative) n += 1
  let value = 0
  let fraction = -1
  if (end - n > exactDigits || n === end) return Number.parseFloat(readString(bytes, at, end))
  for (; n < end; n++) {
    const digit = (bytes[n] as number) - zero
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit
      if (fraction >= 0) fraction += 1
    } else if (bytes[n] === point && fraction === -1) fraction = 0
    else return Number.parseFloat(readString(bytes, at, end))
  }
  if (fraction > 0) value /= powersOfTen[fraction] as number
  return isNegative ? -value : value
}

const t = 116
const f = 102

/** Two digits; NaN for anything else. */
function two(bytes: Buffer, at: number): number {
  const tens = (bytes[at] as number) - zero
  const ones = (bytes[at + 1] as number) - zero
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

const space = 32
const colon = 58
const plus = 43
const dateLength = 10
const timeLength = 19

/** Days from 1970-01-01 to a day of the Gregorian calendar. https://howardhinnant.github.io/date_algorithms.html#days_from_civil */
function daysFrom(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** What a number is not, once a part of it was NaN. */
function isBetween(value: number, least: number, most: number): boolean {
  return value >= least && value <= most
}

const msOfDay = 86_400_000

/**
 * `2024-01-31` as midnight, `2024-01-31 12:00:00.123456` as a time of the process' time zone, and with `+02`, `-03:30` and
 * the like a point in time: a Date with milliseconds, the rest cut off. What looks otherwise, such as a year of five digits,
 * one BC or `infinity`, is left to the parser of `pg`.
 */
function readDate(parser: ValueParser): ColumnReader {
  return (bytes, at, end) => {
    const length = end - at
    const year = two(bytes, at) * 100 + two(bytes, at + 2)
    const month = two(bytes, at + 5)
    const day = two(bytes, at + 8)
    if (
      length < dateLength ||
      !(year >= 100 && isBetween(month, 1, 12) && isBetween(day, 1, 31)) ||
      bytes[at + 4] !== minus ||
      bytes[at + 7] !== minus
    )
      return parser(readString(bytes, at, end))
    if (length === dateLength) return new Date(year, month - 1, day)
    const hour = two(bytes, at + 11)
    const minute = two(bytes, at + 14)
    const second = two(bytes, at + 17)
    if (
      length < timeLength ||
      !(isBetween(hour, 0, 23) && isBetween(minute, 0, 59) && isBetween(second, 0, 59)) ||
      bytes[at + 10] !== space ||
      bytes[at + 13] !== colon ||
      bytes[at + 16] !== colon
    )
      return parser(readString(bytes, at, end))
    let n = at + timeLength
    let ms = 0
    if (n < end && bytes[n] === point) {
      const first = ++n
      for (; n < end; n++) {
        const digit = (bytes[n] as number) - zero
        if (digit < 0 || digit > 9) break
        if (n - first < 3) ms = ms * 10 + digit
      }
      if (n === first || n - first > 6) return parser(readString(bytes, at, end))
      for (let digits = n - first; digits < 3; digits++) ms *= 10
    }
    if (n === end) return new Date(year, month - 1, day, hour, minute, second, ms)
    const sign = bytes[n]
    let offset = two(bytes, n + 1) * 3_600
    const isOffset = sign === plus || sign === minus
    if (isOffset && end - n === 6 && bytes[n + 3] === colon) offset += two(bytes, n + 4) * 60
    else if (!isOffset || end - n !== 3) return parser(readString(bytes, at, end))
    if (Number.isNaN(offset)) return parser(readString(bytes, at, end))
    const local = daysFrom(year, month, day) * msOfDay + ((hour * 60 + minute) * 60 + second) * 1_000 + ms
    return new Date(sign === minus ? local + offset * 1_000 : local - offset * 1_000)
  }
}

const backslash = 92
const letterX = 120

/** In the older form of bytes, a backslash is that of another one or of three octal digits. The parser of `pg` never ends otherwise. */
function checkEscapes(text: string): void {
  for (let n = text.indexOf('\\'); n !== -1; n = text.indexOf('\\', n)) {
    if (text[n + 1] === '\\') n += 2
    else if (/^[0-7]{3}$/.test(text.slice(n + 1, n + 4))) n += 4
    else throw new BrokenRow('bytes in a form that is none')
  }
}

/** `\x` and two digits for each byte; the older form is left to the parser of `pg`. */
function readBytes(parser: ValueParser): ColumnReader {
  return (bytes, at, end) => {
    if (bytes[at] !== backslash || bytes[at + 1] !== letterX || end - at < 2) {
      const text = readString(bytes, at, end)
      checkEscapes(text)
      return parser(text)
    }
    return Buffer.from((bytes as unknown as Slices).latin1Slice(at + 2, end), 'hex')
  }
}

/** What the types of `pg` do not show. */
const { arrayParser } = pg.types as unknown as {
  readonly arrayParser: { create(text: string, element: (text: string) => unknown): { parse(): unknown } }
}

function readArrayOfBytes(parser: ValueParser): ColumnReader {
  return (bytes, at, end) => {
    const text = readString(bytes, at, end)
    const check = (element: string): void => {
      if (!element.startsWith('\\x')) checkEscapes(element)
    }
    arrayParser.create(text, check).parse()
    return parser(text)
  }
}

/** The parsers of `pg` that have a reader of bytes in their place. */
const fast = new Map<ValueParser, ColumnReader>()

/** Whether a parser is `JSON.parse`, of which `pg` has a new form for each type. */
function isJson(parser: ValueParser): boolean {
  if (parser.name !== 'bound parse') return false
  const numbers = parser('[12345678901234567890,1e400]') as unknown
  return (
    Array.isArray(numbers) && numbers[0] === Number('12345678901234567890') && numbers[1] === Number.POSITIVE_INFINITY
  )
}

const readJson: ColumnReader = (bytes, at, end) => JSON.parse(readString(bytes, at, end))
const readBoolean =
  (parser: ValueParser): ColumnReader =>
  (bytes, at, end) => {
    const byte = bytes[at]
    if (end - at === 1 && byte === t) return true
    return end - at === 1 && byte === f ? false : parser(readString(bytes, at, end))
  }

const parsersOfPg = new Map<number, ValueParser>()

textParsers.init((oid, parser) => {
  parsersOfPg.set(oid, parser)
  switch (oid) {
    case 16:
      fast.set(parser, readBoolean(parser))
      break
    case 17:
      fast.set(parser, readBytes(parser))
      break
    case 1001:
      fast.set(parser, readArrayOfBytes(parser))
      break
    case 20:
      // It gives the text that it gets.
      fast.set(parser, readString)
      break
    case 23:
      fast.set(parser, readInteger)
      break
    case 701:
      fast.set(parser, readFloat)
      break
    case 1184:
      fast.set(parser, readDate(parser))
      break
  }
})
// That of every type which has none of its own.
fast.set(pg.types.getTypeParser(0x7fff_ffff as never, 'text') as ValueParser, readString)
for (const oid of [114, 3802]) {
  const parser = pg.types.getTypeParser(oid, 'text') as ValueParser
  if (isJson(parser)) fast.set(parser, readJson)
}

/** The point in time of microseconds since 2000. Numbers are exact for about 285 years before and after. */
function readInstant(bytes: Buffer, at: number, end: number): unknown {
  if (end - at !== 8) throw new BrokenRow('a timestamp that has not eight bytes')
  const high = bytes.readInt32BE(at)
  const low = bytes.readUInt32BE(at + 4)
  if (high >= -mostExactHigh && high < mostExactHigh)
    return new Date(Math.floor((high * 4_294_967_296 + low) / 1_000) + msTo2000)
  if (high === 0x7fff_ffff && low === 0xffff_ffff) return Number.POSITIVE_INFINITY
  if (high === -0x8000_0000 && low === 0) return Number.NEGATIVE_INFINITY
  const micros = bytes.readBigInt64BE(at)
  const ms = micros / 1_000n
  return new Date(Number(micros < 0n && micros % 1_000n !== 0n ? ms - 1n : ms) + msTo2000)
}

const mostExactHigh = 2_097_152
const msTo2000 = Date.UTC(2000, 0, 1)

function copyBytes(bytes: Buffer, at: number, end: number): unknown {
  return Buffer.from(bytes.subarray(at, end))
}

/**
 * What reads a type in the binary format as `parser` reads it as text; undefined where text is as fast, where its value
 * depends on a setting of the session, and for every parser of a user's own.
 */
export function binaryReader(oid: number, parser: ValueParser): ColumnReader | undefined {
  if (oid === 17 && parser === parsersOfPg.get(17)) return copyBytes
  return oid === 1184 && parser === parsersOfPg.get(1184) ? readInstant : undefined
}

/** The reader that gives what `parser` makes of the text of a value. One of a user's own gets that text. */
export function columnReader(parser: ValueParser): ColumnReader {
  return fast.get(parser) ?? ((bytes, at, end) => parser(readString(bytes, at, end)))
}

/** Whether it is one of those that are made once: what is compiled with it can be shared. */
export function isShared(reader: ColumnReader): boolean {
  return shared.has(reader)
}

const shared: ReadonlySet<ColumnReader> = new Set([...fast.values(), copyBytes, readInstant])
