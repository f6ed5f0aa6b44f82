import type { OperationOptions, Queryable, QueryResult } from '@pg-lifeguard/core'
import { type ColumnType, DriverAdapterError, type SqlQuery, type SqlResultSet } from '@prisma/driver-adapter-utils'
import { columnType, nameOfUnsupported } from './column-types.js'
import { withDriverErrors } from './driver-error.js'
import { prismaTypes } from './values-from-server.js'
import { toServer } from './values-to-server.js'

/** Runs a statement of Prisma's engine, and gives its rows as the engine takes them. */
export async function queryRaw(on: Queryable, query: SqlQuery, options?: OperationOptions): Promise<SqlResultSet> {
  const { fields, rows } = await run(on, query, options)
  const columnTypes = fields.map(({ dataTypeID }): ColumnType => {
    const type = columnType(dataTypeID)
    if (type !== undefined) return type
    throw new DriverAdapterError({ kind: 'UnsupportedNativeDataType', type: nameOfUnsupported(dataTypeID) })
  })
  return { columnNames: fields.map(({ name }) => name), columnTypes, rows }
}

/** Runs a statement, and gives the number of rows that it changed. */
export async function executeRaw(on: Queryable, query: SqlQuery, options?: OperationOptions): Promise<number> {
  const { rowCount } = await run(on, query, options)
  return rowCount ?? 0
}

async function run(
  on: Queryable,
  { sql, args, argTypes }: SqlQuery,
  options: OperationOptions | undefined,
): Promise<QueryResult<unknown[]>> {
  const values = args.map((value, index) => toServer(value, argTypes[index]))
  return await withDriverErrors(() =>
    on.query<unknown[]>({ text: sql, values, rowMode: 'array', types: prismaTypes }, options),
  )
}
