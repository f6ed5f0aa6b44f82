import type { OperationOptions } from '../base/limit.js'
import { assertKnownOptions, fieldsOf, optionNames } from '../errors/known-options.js'
import { quoteIdentifier, quoteName } from '../sql/quote-name.js'
import type { Queryable } from './queryable.js'
import { type UpdatingPool, versionedUpdate } from './versioned-update.js'

/** How a versioned update finds its version. */
export interface UpdateVersionedOptions extends OperationOptions {
  /** The column that counts versions; an integer. @default 'version' */
  readonly versionColumn?: string | undefined
}

/** The names of `UpdateVersionedOptions`. For adapters. @internal */
export const updateVersionedNames = optionNames<UpdateVersionedOptions>({
  signal: true,
  timeoutMs: true,
  versionColumn: true,
})

/**
 * Updates the row that has these key columns and still has this version, and counts the version up. Gives the row
 * as it is now. The key must name one row: every row that it fits is changed. It takes values only.
 *
 * @throws VersionConflictError when no row has this key and this version: somebody else changed or deleted it
 */
export async function updateVersioned<Row = Record<string, unknown>>(
  on: Queryable & UpdatingPool,
  table: string,
  key: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
  options: UpdateVersionedOptions = {},
): Promise<Row> {
  assertKnownOptions(options, updateVersionedNames)
  const { versionColumn = 'version', ...limits } = fieldsOf(options)
  const update = { key, changes, changesName: 'changes', version: versionColumn, row: `the row of ${table}` }
  const run = async (checked: object): Promise<readonly Row[]> => {
    const values: unknown[] = []
    const pairsOf = (pairs: object, sign: string): string[] =>
      Object.entries(pairs).map(([name, value]) => `${quoteIdentifier(name)} ${sign} $${values.push(value)}`)
    const version = quoteIdentifier(versionColumn)
    const assignments = [...pairsOf(changes, '='), `${version} = ${version} OPERATOR(pg_catalog.+) 1`].join(', ')
    // An operator of somebody else's, which comes earlier in the search_path or fits better, is not found.
    const conditions = pairsOf(checked, 'OPERATOR(pg_catalog.=)').join(' and ')
    const text = `update ${quoteName(table)} set ${assignments} where ${conditions} returning *`
    return (await on.query<Row>(text, values, limits)).rows
  }
  // The statement takes its limits itself.
  return await versionedUpdate(update, run, { limits: {}, pool: () => on })
}
