import { readArray, type TypeParsers } from '@pg-lifeguard/core'

type Reader = (text: string) => unknown

/** As text: what Prisma itself turns into a bigint, a Decimal, a Date or parsed JSON. */
const asText: Reader = (text) => text
const asNumber: Reader = (text) => Number(text)
const asBoolean: Reader = (text) => text === 't'

/** `2024-01-31 12:00:00.123456`, a year of more than four digits, and years before Christ. */
const timestamp = /^(\d{4,})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-][\d:]+)?( BC)?$/

/**
 * A timestamp in the form that JavaScript reads. One with a time zone comes with the offset of the session's TimeZone,
 * which is kept: it says which moment is meant. https://www.postgresql.org/docs/18/datatype-datetime.html
 */
const asTimestamp: Reader = (text) => {
  const [, year = '', month, day, time, offset, era] = timestamp.exec(text) ?? []
  if (time === undefined) return text // infinity
  return `${isoYear(year, era !== undefined)}-${month}-${day}T${time}${isoOffset(offset)}`
}

const asDate: Reader = (text) => {
  const [, year = '', rest, era] = /^(\d{4,})(-\d\d-\d\d)( BC)?$/.exec(text) ?? []
  return rest === undefined ? text : `${isoYear(year, era !== undefined)}${rest}`
}

/** ISO 8601 has a year 0, which is 1 BC, and six digits with a sign for what does not fit into four. */
function isoYear(year: string, isBeforeChrist: boolean): string {
  const number = isBeforeChrist ? 1 - Number(year) : Number(year)
  if (number >= 0 && number <= 9999) return String(number).padStart(4, '0')
  return `${number < 0 ? '-' : '+'}${String(Math.abs(number)).padStart(6, '0')}`
}

/** The server leaves out minutes of zero, and has seconds for times before standard time; JavaScript reads minutes. */
function isoOffset(offset = '+00'): string {
  const [hours = '+00', minutes = ''] = offset.split(':')
  return `${hours}:${minutes.padEnd(2, '0')}`
}

/** A time with a zone, as the time that it is in UTC: Prisma's values have no zone. */
const asTimeInUtc: Reader = (text) => {
  const [, hours, minutes, rest = '', sign, offsetHours, offsetMinutes = '0'] =
    /^(\d\d):(\d\d)(:[\d.]+)([+-])(\d\d)(?::(\d\d))?/.exec(text) ?? []
  if (hours === undefined) return text
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1)
  const total = (Number(hours) * 60 + Number(minutes) - offset + 2 * 1440) % 1440
  return `${String(Math.floor(total / 60)).padStart(2, '0')}:${String(total % 60).padStart(2, '0')}${rest}`
}

/** `-$1,234.50`: the sign, and a comma or point before the last digits, whatever lc_monetary adds. */
const asMoney: Reader = (text) => {
  const isNegative = /[-(]/.test(text)
  const [, whole = '', fraction] = /^(.*?)(?:[.,](\d{1,2}))?$/.exec(text.replace(/[^\d.,]/g, '')) ?? []
  return `${isNegative ? '-' : ''}${whole.replace(/\D/g, '')}${fraction === undefined ? '' : `.${fraction}`}`
}

/** Hex since PostgreSQL 9.0; the older form where `bytea_output` asks for it. */
const asBytes: Reader = (text) => {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  return Buffer.from(
    text.replace(/\\(\\|[0-7]{3})/g, (_, code: string) =>
      code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
    ),
    'latin1',
  )
}

/** How each type is read, with the type of its arrays. What is not here stays text. */
const scalars: readonly (readonly [oid: number, arrayOid: number, read: Reader])[] = [
  [16, 1000, asBoolean],
  [17, 1001, asBytes],
  [20, 1016, asText],
  [21, 1005, asNumber],
  [23, 1007, asNumber],
  [26, 1028, asNumber],
  [700, 1021, asNumber],
  [701, 1022, asNumber],
  [790, 791, asMoney],
  [1082, 1182, asDate],
  [1114, 1115, asTimestamp],
  [1184, 1185, asTimestamp],
  [1266, 1270, asTimeInUtc],
]

/** Types whose values stay text, but whose arrays are arrays of it. */
const textArrays = [143, 199, 651, 1002, 1003, 1009, 1014, 1015, 1041, 1183, 1231, 1561, 1563, 2951, 3807]

const readers: ReadonlyMap<number, Reader> = new Map([
  ...scalars.flatMap(([oid, arrayOid, read]): [number, Reader][] => [
    [oid, read],
    [arrayOid, (text) => readArray(text, read)],
  ]),
  ...textArrays.map((oid): [number, Reader] => [oid, (text) => readArray(text, asText)]),
])

/** The parsers for statements of Prisma, in place of the pool's own. */
export const prismaTypes: TypeParsers = { getTypeParser: (oid) => readers.get(oid) ?? asText }
