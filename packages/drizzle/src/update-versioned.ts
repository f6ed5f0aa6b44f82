import { InvalidOptionError, versionedUpdate } from '@pg-lifeguard/core'
import { and, eq, getTableColumns, getTableName, type InferSelectModel, type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { AnyDatabase } from './pool-of.js'

/** The part of Drizzle that an update needs. */
interface Updating {
  update(table: PgTable): {
    set(values: object): { where(condition: SQL | undefined): { returning(): Promise<unknown[]> } }
  }
}

/**
 * Updates the row that has these key columns and still has the `version` that was read, and counts the version up. Gives
 * the row as it is now. The key must name one row: every row that it fits is changed.
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
export async function updateVersioned<Table extends PgTable>(
  db: AnyDatabase,
  table: Table,
  key: Partial<InferSelectModel<Table>> & { readonly version: number },
  changes: Partial<Omit<InferSelectModel<Table>, 'version'>>,
): Promise<InferSelectModel<Table>> {
  const columns = getTableColumns(table)
  const { version } = columns
  if (version === undefined) throw new InvalidOptionError('table', getTableName(table), 'one with a column `version`')
  if (Object.keys(changes).length === 0) throw new InvalidOptionError('changes', 'empty', 'one column or more')
  const row = `the row of ${getTableName(table)}`
  return await versionedUpdate({ key, changes, changesName: 'changes', version: 'version', row }, async () => {
    const conditions = Object.entries(key).map(([name, value]) => {
      const column = columns[name]
      if (column === undefined) throw new InvalidOptionError('key', name, Object.keys(columns).join(', '))
      return eq(column, value)
    })
    const rows = await (db as unknown as Updating)
      .update(table)
      .set({ ...changes, version: sql`${version} + 1` })
      .where(and(...conditions))
      .returning()
    return rows as InferSelectModel<Table>[]
  })
}
