import { InvalidArgumentError, type OperationOptions } from '@pg-lifeguard/core'
import {
  adapterPool,
  assertKnownOptions,
  fieldsOf,
  updateVersionedNames,
  versionedUpdate,
} from '@pg-lifeguard/core/adapter'
import { and, getTableColumns, getTableName, type InferSelectModel, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { type AnyDatabase, poolOf } from './pool-of.js'

/** How a versioned update finds its version, and how long it may take. */
export interface VersionedUpdateOptions<Version extends string = string> extends OperationOptions {
  /** The column that counts versions, as the table's definition calls it; an integer. @default 'version' */
  readonly versionColumn?: Version | undefined
}

/** The part of Drizzle that an update needs. */
interface Updating {
  update(table: PgTable): {
    set(values: object): { where(condition: SQL | undefined): { returning(): Promise<unknown[]> } }
  }
}

/**
 * Updates the row that has these key columns and still has the version that was read, and counts the version up. Gives
 * the row as it is now. The key must name one row: every row that it fits is changed. It takes values, and no SQL.
 *
 * @throws VersionConflictError when somebody else was faster; inside `withOptimisticRetry` that is tried again
 * @example
 * ```ts
 * import { createPool, drizzle, updateVersioned } from '@pg-lifeguard/drizzle'
 * import { integer, pgTable, text } from 'drizzle-orm/pg-core'
 *
 * const item = pgTable('item', {
 *   id: integer('id').primaryKey(),
 *   name: text('name').notNull(),
 *   version: integer('version').notNull().default(1),
 * })
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = drizzle(pool)
 * await updateVersioned(db, item, { id: 7, version: 3 }, { name: 'Lamp' })
 * ```
 */
export async function updateVersioned<Table extends PgTable, const Version extends string = 'version'>(
  db: AnyDatabase,
  table: Table,
  key: Partial<InferSelectModel<Table>> & { readonly [Column in NoInfer<Version>]: number },
  changes: Partial<Omit<InferSelectModel<Table>, NoInfer<Version>>>,
  options: VersionedUpdateOptions<Version> = {},
): Promise<InferSelectModel<Table>> {
  assertKnownOptions(options, updateVersionedNames)
  const { versionColumn: version = 'version', ...limits } = fieldsOf(options)
  const columns = getTableColumns(table)
  const column = (of: string, name: string): PgColumn => {
    const found = columns[name]
    if (found !== undefined) return found
    throw new InvalidArgumentError(of, name, Object.keys(columns).join(', '))
  }
  const counter = column(`the version's column in ${getTableName(table)}`, version)
  const update = { key, changes, changesName: 'changes', version, row: `the row of ${getTableName(table)}` }
  const run = async (checked: object): Promise<InferSelectModel<Table>[]> => {
    // An operator of somebody else's, which comes earlier in the search_path or fits better, is not found.
    const conditions = Object.entries(checked).map(([name, value]) => {
      const found = column('key', name)
      return sql`${found} operator(pg_catalog.=) ${sql.param(value, found)}`
    })
    const rows = await (db as unknown as Updating)
      .update(table)
      .set({ ...changes, [version]: sql`${counter} operator(pg_catalog.+) 1` })
      .where(and(...conditions))
      .returning()
    return rows as InferSelectModel<Table>[]
  }
  return await versionedUpdate(update, run, { limits, pool: () => adapterPool(poolOf(db)) })
}
