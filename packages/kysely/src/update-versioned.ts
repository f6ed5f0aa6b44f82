import { InvalidOptionError, type OperationOptions, versionedUpdate } from '@pg-lifeguard/core'
import { type Kysely, type Selectable, sql, type Updateable } from 'kysely'
import { poolOf } from './pool-of.js'

/** How a versioned update finds its version, and how long it may take. */
export interface UpdateVersionedOptions extends OperationOptions {
  /** The column that counts versions; an integer. @default 'version' */
  readonly versionColumn?: string | undefined
}

/** A table of which only the columns' names are known. */
interface AnyTable {
  any: Record<string, unknown>
}

/**
 * Updates the row that has these key columns and still has the version that was read, and counts the version up. Gives the
 * row as it is now. The key must name one row: every row that it fits is changed.
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
  const { versionColumn = 'version', ...limits } = options
  if (Object.keys(changes).length === 0) throw new InvalidOptionError('changes', 'empty', 'one column or more')
  const versioned = { key, changes, changesName: 'changes', version: versionColumn, row: `the row of ${table}` }
  return await versionedUpdate(versioned, async () => {
    // Of a table that is known by a type parameter only, Kysely's builder can say nothing: what is given was checked.
    const update = (db as unknown as Kysely<AnyTable>)
      .updateTable(table as unknown as 'any')
      .set({ ...changes, [versionColumn]: sql`${sql.ref(versionColumn)} + 1` })
      .where((eb) => eb.and({ ...key }))
      .returningAll()
    const run = (): Promise<unknown[]> => update.execute()
    const isLimited = limits.signal !== undefined || limits.timeoutMs !== undefined
    const rows = isLimited ? (await poolOf(db).fanOut({ run }, limits)).run : await run()
    return rows as Selectable<DB[Table]>[]
  })
}
