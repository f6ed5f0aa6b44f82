import pg from 'pg'

/** `pg`'s own reader of arrays, which its types do not show. */
const { arrayParser } = pg.types as unknown as {
  readonly arrayParser: { create(text: string, read: (element: string | null) => unknown): { parse(): unknown[] } }
}

/**
 * Reads an array in the form in which the server sends it, `{1,NULL,"a b"}`, with arrays in it when it has more than one
 * dimension; bounds of its own, `[0:1]={1,2}`, are skipped. For adapters.
 * https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
 *
 * @internal
 */
export function readArray(text: string, readElement: (element: string) => unknown): unknown[] {
  return arrayParser.create(text, (element) => (element === null ? null : readElement(element))).parse()
}

/**
 * Reads a `bytea` in the form in which the server sends it, hex or the older escapes: `pg`'s own reader, as it was before
 * anybody could set another one. https://www.postgresql.org/docs/18/datatype-binary.html
 *
 * @internal for adapters
 */
export const readBytes: (text: string) => Buffer = pg.types.getTypeParser(pg.types.builtins.BYTEA)

/** `2024-01-31 12:00:00.123456+02`, a year of more than four digits, and years before Christ. */
const timestamp = /^(\d{4,})(-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-][\d:]+)?( BC)?$/

/**
 * A timestamp of the server as ISO 8601, with all of its digits: `2024-01-31T12:00:00.123456+02:00`. One with a time zone
 * comes with the offset of the session's TimeZone, which is kept: it says which moment is meant. `infinity` stays as it is.
 * https://www.postgresql.org/docs/18/datatype-datetime.html
 *
 * @internal for adapters
 */
export function isoTimestamp(text: string): string {
  const [, year = '', day, time, fraction = '', offset, era] = timestamp.exec(text) ?? []
  if (time === undefined) return text
  const local = `${isoYear(year, era !== undefined)}${day}T${time}`
  if (offset === undefined) return `${local}${fraction}`
  const [hours, minutes = '', seconds] = offset.split(':')
  if (seconds === undefined) return `${local}${fraction}${hours}:${minutes.padEnd(2, '0')}`
  // A time before standard time has an offset with seconds, which ISO 8601 does not know: it is said in UTC.
  const moment = new Date(Date.parse(`${local}Z`) - offsetSeconds(offset) * 1000)
  return `${moment.toISOString().slice(0, -'.000Z'.length)}${fraction}+00:00`
}

/**
 * A timestamp without a time zone as ISO 8601, taken for one in UTC.
 *
 * @internal for adapters
 */
export function isoTimestampInUtc(text: string): string {
  const iso = isoTimestamp(text)
  return iso === text ? text : `${iso}+00:00`
}

/**
 * A date of the server as ISO 8601; `infinity` stays as it is.
 *
 * @internal for adapters
 */
export function isoDate(text: string): string {
  const [, year = '', rest, era] = /^(\d{4,})(-\d\d-\d\d)( BC)?$/.exec(text) ?? []
  return rest === undefined ? text : `${isoYear(year, era !== undefined)}${rest}`
}

/**
 * A time with a zone as the time that it is in UTC, for those whose times have no zone.
 *
 * @internal for adapters
 */
export function timeInUtc(text: string): string {
  const [, hours, minutes, seconds, fraction = '', offset = ''] =
    /^(\d\d):(\d\d):(\d\d)(\.\d+)?([+-][\d:]+)$/.exec(text) ?? []
  if (hours === undefined) return text
  const local = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  const total = (local - offsetSeconds(offset) + 2 * secondsOfDay) % secondsOfDay
  const parts = [total / 3600, (total / 60) % 60, total % 60]
  return `${parts.map((part) => String(Math.floor(part)).padStart(2, '0')).join(':')}${fraction}`
}

/**
 * A moment in a form that the server reads as a date, a time or a timestamp: it takes the part that it needs. The zone is
 * written out, as it would take the session's TimeZone otherwise.
 * https://www.postgresql.org/docs/18/datatype-datetime.html#DATATYPE-DATETIME-INPUT-TIME-STAMPS
 *
 * @internal for adapters
 */
export function momentText(moment: Date): string {
  const [, year = '', day, time] = /^([+-]?\d+)(-\d\d-\d\d)T(.+)$/.exec(moment.toISOString()) ?? []
  const number = Number(year)
  return `${String(number > 0 ? number : 1 - number).padStart(4, '0')}${day} ${time}${number > 0 ? '' : ' BC'}`
}

/** ISO 8601 has a year 0, which is 1 BC, and six digits with a sign for what does not fit into four. */
function isoYear(year: string, isBeforeChrist: boolean): string {
  const number = isBeforeChrist ? 1 - Number(year) : Number(year)
  if (number >= 0 && number <= 9999) return String(number).padStart(4, '0')
  return `${number < 0 ? '-' : '+'}${String(Math.abs(number)).padStart(6, '0')}`
}

const secondsOfDay = 86_400

/** `+05`, `-03:30` or `+05:53:28`. */
function offsetSeconds(offset: string): number {
  const [hours = '', minutes = '0', seconds = '0'] = offset.slice(1).split(':')
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  return offset.startsWith('-') ? -total : total
}
