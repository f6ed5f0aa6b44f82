import { type ColumnType, ColumnTypeEnum as types } from '@prisma/driver-adapter-utils'

/** Types that PostgreSQL brings itself have numbers below this one; enums, domains and extensions have others. */
const firstOfUser = 16_384

/**
 * What Prisma takes each type of PostgreSQL for, by the number of the type in pg_type.
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
 */
const byNumber: ReadonlyMap<number, ColumnType> = new Map<number, ColumnType>([
  [16, types.Boolean],
  [1000, types.BooleanArray],
  [17, types.Bytes],
  [1001, types.BytesArray],
  [1002, types.CharacterArray],
  [20, types.Int64],
  [1016, types.Int64Array],
  [26, types.Int64], // oid
  [1028, types.Int64Array],
  [21, types.Int32],
  [1005, types.Int32Array],
  [23, types.Int32],
  [1007, types.Int32Array],
  [700, types.Float],
  [1021, types.FloatArray],
  [701, types.Double],
  [1022, types.DoubleArray],
  [1700, types.Numeric],
  [1231, types.NumericArray],
  [790, types.Numeric], // money
  [791, types.NumericArray],
  [1082, types.Date],
  [1182, types.DateArray],
  [1083, types.Time],
  [1183, types.TimeArray],
  [1266, types.Time], // timetz
  [1270, types.TimeArray],
  [1114, types.DateTime],
  [1115, types.DateTimeArray],
  [1184, types.DateTime],
  [1185, types.DateTimeArray],
  [114, types.Json],
  [199, types.JsonArray],
  [3802, types.Json], // jsonb
  [3807, types.JsonArray],
  [2950, types.Uuid],
  [2951, types.UuidArray],
  [19, types.Text], // name
  [1003, types.TextArray],
  [25, types.Text],
  [1009, types.TextArray],
  [1042, types.Text], // char(n)
  [1014, types.TextArray],
  [1043, types.Text], // varchar
  [1015, types.TextArray],
  [1560, types.Text], // bit
  [1561, types.TextArray],
  [1562, types.Text], // varbit
  [1563, types.TextArray],
  [869, types.Text], // inet
  [1041, types.TextArray],
  [650, types.Text], // cidr
  [651, types.TextArray],
  [142, types.Text], // xml
  [143, types.TextArray],
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
  return byNumber.get(oid) ?? (oid >= firstOfUser ? types.Text : undefined)
}

/** The name of a type that cannot be read. */
export function nameOfUnsupported(oid: number): string {
  return unsupported.get(oid) ?? `number ${oid}`
}
