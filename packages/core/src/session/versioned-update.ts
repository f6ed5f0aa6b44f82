import type { OperationOptions } from '../base/limit.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { VersionConflictError } from '../errors/version-conflict-error.js'

/** What is known of a versioned update before its statement is built, for what it says when it cannot be done. */
export interface VersionedUpdate {
  /** What names one row, and the version that was read. */
  readonly key: object
  readonly changes: object
  /** What the caller knows the changes as. */
  readonly changesName: string
  /** The column, or field, that counts versions. */
  readonly version: string
  /** What is updated. */
  readonly row: string
}

/** The limits of statements that take none themselves, as those of an ORM; and the pool that puts them around. */
interface Within {
  readonly limits: OperationOptions
  readonly pool: () => {
    fanOut<T>(tasks: { readonly run: () => Promise<T> }, limits: OperationOptions): Promise<{ readonly run: T }>
  }
}

/**
 * What every `updateVersioned` does around its statement, in whatever way that is built: checks what is given, and tells
 * from the rows that `run` gives whether somebody else was faster. For adapters.
 *
 * @throws VersionConflictError when there is no row; InvalidOptionError for a key without a value for every column of it,
 * and for no changes
 * @internal
 */
export async function versionedUpdate<Row>(
  { key, changes, changesName, version, row: what }: VersionedUpdate,
  run: () => Promise<readonly Row[]>,
  within?: Within,
): Promise<Row> {
  if (Object.keys(changes).length === 0) throw new InvalidOptionError(changesName, 'empty', 'one column or more')
  const values = Object.entries(key)
  if (!(version in key)) {
    throw new InvalidOptionError('key', `without ${version}`, `the key and the ${version} that was read`)
  }
  // An ORM may take a condition without a value for no condition at all.
  const empty = values.find(([, value]) => value === undefined)
  if (empty !== undefined) throw new InvalidOptionError('key', `${empty[0]} undefined`, 'a value for everything in it')
  if (values.length < 2) throw new InvalidOptionError('key', `only ${version}`, 'what names one row, and its version')
  if (version in changes) {
    throw new InvalidOptionError(changesName, `with ${version}`, 'others: the version counts itself up')
  }
  const { signal, timeoutMs } = within?.limits ?? {}
  const isLimited = within !== undefined && (signal !== undefined || timeoutMs !== undefined)
  const [row] = isLimited ? (await within.pool().fanOut({ run }, within.limits)).run : await run()
  if (row === undefined) throw new VersionConflictError(`${what} that was read`)
  return row
}
