import type { OperationOptions, Queryable, QueryResult } from '@pg-lifeguard/core'
import { momentText } from '@pg-lifeguard/core/adapter'
import {
  type ArgType,
  type ColumnType,
  DriverAdapterError,
  type SqlQuery,
  type SqlResultSet,
} from '@prisma/driver-adapter-utils'
import { columnType, prismaTypes } from './built-in-types.js'
import { withDriverErrors } from './driver-error.js'

/** Runs a statement of Prisma's engine, and gives its rows as the engine takes them. */
export async function queryRaw(on: Queryable, query: SqlQuery, options?: OperationOptions): Promise<SqlResultSet> {
  const { fields, rows } = await run(on, query, options)
  const columnTypes: ColumnType[] = []
  for (const { dataTypeID } of fields) {
    columnTypes.push(columnType(dataTypeID) ?? (await refuse(on, dataTypeID, options)))
  }
  return { columnNames: fields.map(({ name }) => name), columnTypes, rows }
}

/** Runs a statement, and gives the number of rows that it changed. */
export async function executeRaw(on: Queryable, query: SqlQuery, options?: OperationOptions): Promise<number> {
  return (await run(on, query, options)).rowCount ?? 0
}

async function run(on: Queryable, query: SqlQuery, options?: OperationOptions): Promise<QueryResult<unknown[]>> {
  const { sql: text, args, argTypes } = query
  const values = args.map((value, index) => toServer(value, argTypes[index]))
  const result: QueryResult<unknown[]> | readonly QueryResult<unknown[]>[] = await withDriverErrors(() =>
    on.query<unknown[]>({ text, values, rowMode: 'array', types: prismaTypes }, options),
  )
  // A text of several statements has several results, and Prisma no way to give their rows.
  return isSeveral(result) ? together(result) : result
}

function isSeveral<Result>(result: Result | readonly Result[]): result is readonly Result[] {
  return Array.isArray(result)
}

function together([first, ...others]: readonly QueryResult<unknown[]>[]): QueryResult<unknown[]> {
  if (first === undefined) throw new Error('bug: several statements without a result')
  const rowCount = others.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), first.rowCount ?? 0)
  return { ...first, rowCount, rows: [], fields: [] }
}

/** An argument of Prisma in a form that the driver sends as a value of its type. */
function toServer(value: unknown, type: ArgType | undefined): unknown {
  if (Array.isArray(value) && type?.arity === 'list') return value.map((one) => toServer(one, type))
  if (value instanceof Date) return momentText(value)
  if (typeof value === 'string' && type?.scalarType === 'datetime') return momentText(new Date(value))
  if (typeof value === 'string' && type?.scalarType === 'bytes') return Buffer.from(value, 'base64')
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return value
}

/** Prisma names the type that it cannot read; the server knows the names of all. */
async function refuse(on: Queryable, oid: number, options?: OperationOptions): Promise<never> {
  const { rows } = await on.query<{ type: string }>(
    'select pg_catalog.format_type($1::pg_catalog.oid, null) as type',
    [oid],
    options,
  )
  throw new DriverAdapterError({ kind: 'UnsupportedNativeDataType', type: rows[0]?.type ?? String(oid) })
}
