import type { OperationOptions } from '../base/limit.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { VersionConflictError } from '../errors/version-conflict-error.js'
import type { Queryable } from './queryable.js'
import { quoteIdentifier, quoteName } from './quote-name.js'

/** How a versioned update finds its version. */
export interface UpdateVersionedOptions extends OperationOptions {
  /** The column that counts versions; an integer. @default 'version' */
  readonly versionColumn?: string | undefined
}

/**
 * Updates the row that has these key columns and still has this version, and counts the version up. Gives the row
 * as it is now. The key must name one row: every row that it fits is changed.
 *
 * @throws VersionConflictError when no row has this key and this version: somebody else changed or deleted it
 */
export async function updateVersioned<Row = Record<string, unknown>>(
  on: Queryable,
  table: string,
  key: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
  options: UpdateVersionedOptions = {},
): Promise<Row> {
  const { versionColumn = 'version', ...limits } = options
  const keys = Object.entries(key)
  const sets = Object.entries(changes)
  if (!(versionColumn in key))
    throw new InvalidOptionError(
      'key',
      `without ${versionColumn}`,
      `the key columns and the ${versionColumn} that was read`,
    )
  if (keys.length < 2)
    throw new InvalidOptionError('key', `only ${versionColumn}`, 'the columns that name one row, and its version')
  if (sets.length === 0) throw new InvalidOptionError('changes', 'empty', 'one column or more')
  if (versionColumn in changes)
    throw new InvalidOptionError('changes', `with ${versionColumn}`, 'other columns: the version counts itself up')
  const values: unknown[] = []
  const placeholder = (value: unknown): string => `$${values.push(value)}`
  const version = quoteIdentifier(versionColumn)
  const assignments = sets.map(([name, value]) => `${quoteIdentifier(name)} = ${placeholder(value)}`)
  const conditions = keys.map(([name, value]) => `${quoteIdentifier(name)} = ${placeholder(value)}`)
  const text = `update ${quoteName(table)} set ${assignments.join(', ')}, ${version} = ${version} + 1 where ${conditions.join(' and ')} returning *`
  const { rows } = await on.query<Row>(text, values, limits)
  const [row] = rows
  if (row === undefined) throw new VersionConflictError(`the row of ${table} that was read`)
  return row
}
