import type { ArgType } from '@prisma/driver-adapter-utils'

/** An argument of Prisma in a form that the driver sends as a value of its type. */
export function toServer(value: unknown, type: ArgType | undefined): unknown {
  if (value === null || value === undefined) return null
  if (Array.isArray(value) && type?.arity === 'list') return value.map((one) => toServer(one, type))
  if (value instanceof Date) return dateText(value, type?.dbType)
  if (typeof value === 'string') {
    if (type?.scalarType === 'datetime') return dateText(new Date(value), type.dbType)
    if (type?.scalarType === 'bytes') return Buffer.from(value, 'base64')
  }
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return value
}

/**
 * The moment in UTC. The zone is written out, as the server would take the session's TimeZone otherwise; a type without
 * zone ignores it. https://www.postgresql.org/docs/18/datatype-datetime.html#DATATYPE-DATETIME-INPUT-TIME-STAMPS
 */
function dateText(date: Date, dbType: string | undefined): string {
  const [, year = '', rest, time] = /^([+-]?\d+)(-\d\d-\d\d)T([\d:.]+)Z$/.exec(date.toISOString()) ?? []
  const number = Number(year)
  const day = `${String(number > 0 ? number : 1 - number).padStart(4, '0')}${rest}`
  const era = number > 0 ? '' : ' BC'
  if (dbType === 'DATE') return `${day}${era}`
  if (dbType === 'TIME') return `${time}`
  if (dbType === 'TIMETZ') return `${time}+00`
  return `${day} ${time}+00${era}`
}
