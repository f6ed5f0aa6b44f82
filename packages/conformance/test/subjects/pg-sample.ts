import type { Json, Sample } from '../../src/index.js'

/** A row of `sample` as `pg` gives it, and as the core and Kysely pass it on. */
export interface PgSample {
  id: number
  flag: boolean | null
  small: number | null
  whole: number | null
  big: string | bigint | null
  double: number | null
  exact: string | null
  body: string | null
  label: string | null
  uuid: string | null
  document: Json | string
  details: Json | string
  bytes: Uint8Array | null
  day: Date | string | null
  moment: Date | null
  words: readonly string[] | null
  numbers: readonly number[] | null
}

/** `pg` takes an array for one of PostgreSQL's, so that JSON goes as text. */
export function toPg({ document, details, bytes, ...rest }: Sample): PgSample {
  return {
    ...rest,
    document: document === null ? null : JSON.stringify(document),
    details: details === null ? null : JSON.stringify(details),
    bytes: bytes === null ? null : Buffer.from(bytes),
  }
}

/** By default `pg` gives a bigint as text, and a date as the start of that day here. */
export function fromPg({ big, bytes, day, ...rest }: PgSample): Sample {
  return {
    ...rest,
    big: big === null ? null : BigInt(big),
    bytes: bytes === null ? null : Uint8Array.from(bytes),
    day: day instanceof Date ? localDay(day) : day,
  }
}

function localDay(day: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0')
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
}
