import { type ColumnType, ColumnTypeEnum } from '@prisma/driver-adapter-utils'

const { Int32, Int64, Float, Double, Numeric, Boolean, Text, Date, Time, DateTime, Json, Bytes, Uuid } = ColumnTypeEnum
const { Int32Array, Int64Array, FloatArray, DoubleArray, NumericArray, BooleanArray, CharacterArray } = ColumnTypeEnum
const { TextArray, DateArray, TimeArray, DateTimeArray, JsonArray, BytesArray, UuidArray } = ColumnTypeEnum

/** Types that PostgreSQL brings itself have numbers below this one; enums, domains and extensions have others. */
const firstOfUser = 16_384

/**
 * What Prisma takes each type of PostgreSQL for, by the number of the type in pg_type.
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
 */
const byNumber: ReadonlyMap<number, ColumnType> = new Map<number, ColumnType>([
  [16, Boolean],
  [1000, BooleanArray],
  [17, Bytes],
  [1001, BytesArray],
  [1002, CharacterArray],
  [20, Int64],
  [1016, Int64Array],
  [26, Int64], // oid
  [1028, Int64Array],
  [21, Int32],
  [1005, Int32Array],
  [23, Int32],
  [1007, Int32Array],
  [700, Float],
  [1021, FloatArray],
  [701, Double],
  [1022, DoubleArray],
  [1700, Numeric],
  [1231, NumericArray],
  [790, Numeric], // money
  [791, NumericArray],
  [1082, Date],
  [1182, DateArray],
  [1083, Time],
  [1183, TimeArray],
  [1266, Time], // timetz
  [1270, TimeArray],
  [1114, DateTime],
  [1115, DateTimeArray],
  [1184, DateTime],
  [1185, DateTimeArray],
  [114, Json],
  [199, JsonArray],
  [3802, Json], // jsonb
  [3807, JsonArray],
  [2950, Uuid],
  [2951, UuidArray],
  [19, Text], // name
  [1003, TextArray],
  [25, Text],
  [1009, TextArray],
  [1042, Text], // char(n)
  [1014, TextArray],
  [1043, Text], // varchar
  [1015, TextArray],
  [1560, Text], // bit
  [1561, TextArray],
  [1562, Text], // varbit
  [1563, TextArray],
  [869, Text], // inet
  [1041, TextArray],
  [650, Text], // cidr
  [651, TextArray],
  [142, Text], // xml
  [143, TextArray],
])

/** Types that Prisma has no value for; the name goes into its error. */
const unsupported: ReadonlyMap<number, string> = new Map([
  [18, 'char'],
  [27, 'tid'],
  [28, 'xid'],
  [600, 'point'],
  [601, 'lseg'],
  [602, 'path'],
  [603, 'box'],
  [604, 'polygon'],
  [628, 'line'],
  [705, 'unknown'],
  [718, 'circle'],
  [774, 'macaddr8'],
  [829, 'macaddr'],
  [1186, 'interval'],
  [2205, 'regclass'],
  [2249, 'record'],
  [2278, 'void'],
  [3220, 'pg_lsn'],
  [3614, 'tsvector'],
  [3615, 'tsquery'],
  [3904, 'int4range'],
  [3906, 'numrange'],
  [3908, 'tsrange'],
  [3910, 'tstzrange'],
  [3912, 'daterange'],
  [3926, 'int8range'],
  [4072, 'jsonpath'],
  [5069, 'xid8'],
])

/** What Prisma takes this type for; undefined when it cannot read it. A type of the user's is read as text. */
export function columnType(oid: number): ColumnType | undefined {
  return byNumber.get(oid) ?? (oid >= firstOfUser ? Text : undefined)
}

/** The name of a type that cannot be read. */
export function nameOfUnsupported(oid: number): string {
  return unsupported.get(oid) ?? `number ${oid}`
}
