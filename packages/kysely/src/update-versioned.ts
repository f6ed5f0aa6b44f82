import type { UpdateVersionedOptions } from '@pg-lifeguard/core'
import {
  adapterPool,
  assertKnownOptions,
  fieldsOf,
  updateVersionedNames,
  versionedUpdate,
} from '@pg-lifeguard/core/adapter'
import { type Kysely, type Selectable, sql, type Updateable } from 'kysely'
import { poolOf } from './pool-of.js'

/** A table of which only the columns' names are known. */
interface AnyTable {
  any: Record<string, unknown>
}

/**
 * Updates the row that has these key columns and still has the version that was read, and counts the version up. Gives the
 * row as it is now. The key must name one row: every row that it fits is changed. It takes values, and no expressions.
 *
 * @throws VersionConflictError when somebody else was faster; inside `withOptimisticRetry` that is tried again
 * @example
 * ```ts
 * import { createPool, LifeguardDialect, updateVersioned } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   item: { id: number; name: string; version: number }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * await updateVersioned(db, 'item', { id: 7, version: 3 }, { name: 'Lamp' })
 * ```
 */
export async function updateVersioned<DB, Table extends keyof DB & string>(
  db: Kysely<DB>,
  table: Table,
  key: Partial<Selectable<DB[Table]>>,
  changes: Updateable<DB[Table]>,
  options: UpdateVersionedOptions = {},
): Promise<Selectable<DB[Table]>> {
  assertKnownOptions(options, updateVersionedNames)
  const { versionColumn = 'version', ...limits } = fieldsOf(options)
  const update = { key, changes, changesName: 'changes', version: versionColumn, row: `the row of ${table}` }
  const run = async (checked: object): Promise<Selectable<DB[Table]>[]> => {
    // An operator of somebody else's, which comes earlier in the search_path or fits better, is not found.
    const conditions = Object.entries(checked).map(([name, value]) =>
      value === null
        ? sql<boolean>`${sql.ref(name)} is null`
        : sql<boolean>`${sql.ref(name)} operator(pg_catalog.=) ${value}`,
    )
    // Of a table that is known by a type parameter only, Kysely's builder can say nothing: what is given was checked.
    const rows = await (db as unknown as Kysely<AnyTable>)
      .updateTable(table as unknown as 'any')
      .set({ ...changes, [versionColumn]: sql`${sql.ref(versionColumn)} operator(pg_catalog.+) 1` })
      .where((eb) => eb.and(conditions))
      .returningAll()
      .execute()
    return rows as Selectable<DB[Table]>[]
  }
  return await versionedUpdate(update, run, { limits, pool: () => adapterPool(poolOf(db)) })
}
