import type { TypeParsers } from '@pg-lifeguard/core'
import { isoDate, isoTimestamp, isoTimestampInUtc, readArray, readBytes, timeInUtc } from '@pg-lifeguard/core/adapter'
import { type ColumnType, ColumnTypeEnum } from '@prisma/driver-adapter-utils'

type Reader = (text: string) => unknown
type Name = keyof typeof ColumnTypeEnum
type Scalar = { [N in Name]: `${N}Array` extends Name ? N : never }[Name]

/** As text: what Prisma itself turns into a bigint, a Decimal, a Date or parsed JSON. */
const asText: Reader = (text) => text

/** `-$1,234.50`: the sign, and a comma or point before the last digits, whatever lc_monetary adds. */
const asAmount: Reader = (text) => {
  const [, whole = '', fraction] = /^(.*?)(?:[.,](\d{1,2}))?$/.exec(text.replace(/[^\d.,]/g, '')) ?? []
  return `${/[-(]/.test(text) ? '-' : ''}${whole.replace(/\D/g, '')}${fraction === undefined ? '' : `.${fraction}`}`
}

/**
 * What Prisma takes each type of PostgreSQL for, the numbers of the type and of its array, and how a value is read.
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
 */
const types: readonly (readonly [scalar: Scalar, oid: number, arrayOid: number, read: Reader])[] = [
  ['Boolean', 16, 1000, (text) => text === 't'],
  ['Bytes', 17, 1001, readBytes],
  ['Int64', 20, 1016, asText],
  ['Int64', 26, 1028, Number], // oid
  ['Int32', 21, 1005, Number],
  ['Int32', 23, 1007, Number],
  ['Float', 700, 1021, Number],
  ['Double', 701, 1022, Number],
  ['Numeric', 1700, 1231, asText],
  ['Numeric', 790, 791, asAmount], // money
  ['Date', 1082, 1182, isoDate],
  ['Time', 1083, 1183, asText],
  ['Time', 1266, 1270, timeInUtc], // with a zone: Prisma's values have none
  ['DateTime', 1114, 1115, isoTimestampInUtc],
  ['DateTime', 1184, 1185, isoTimestamp],
  ['Json', 114, 199, asText],
  ['Json', 3802, 3807, asText], // jsonb
  ['Uuid', 2950, 2951, asText],
  ['Text', 25, 1009, asText],
  ['Text', 19, 1003, asText], // name
  ['Text', 1042, 1014, asText], // char(n)
  ['Text', 1043, 1015, asText], // varchar
  ['Text', 1560, 1561, asText], // bit
  ['Text', 1562, 1563, asText], // varbit
  ['Text', 869, 1041, asText], // inet
  ['Text', 650, 651, asText], // cidr
  ['Text', 142, 143, asText], // xml
]

const known = new Map<number, { readonly type: ColumnType; readonly read: Reader }>()
const know = (oid: number, name: Name, read: Reader): unknown => known.set(oid, { type: ColumnTypeEnum[name], read })
for (const [scalar, oid, arrayOid, read] of types) {
  know(oid, scalar, read)
  know(arrayOid, `${scalar}Array`, (text) => readArray(text, read))
}
know(1002, 'CharacterArray', (text) => readArray(text, asText)) // of "char", which is none by itself

/** Types that PostgreSQL brings itself have numbers below this one; enums, domains and extensions have others. */
const firstOfUser = 16_384

/** What Prisma takes this type for; undefined when it cannot read it. A type of the user's is read as text. */
export function columnType(oid: number): ColumnType | undefined {
  return known.get(oid)?.type ?? (oid >= firstOfUser ? ColumnTypeEnum.Text : undefined)
}

/** The parsers for statements of Prisma, in place of the pool's own. */
export const prismaTypes: TypeParsers = { getTypeParser: (oid) => known.get(oid)?.read ?? asText }
