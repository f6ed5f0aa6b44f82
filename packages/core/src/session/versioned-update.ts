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

/**
 * What every `updateVersioned` does around its statement, in whatever way that is built: checks what is given, and tells
 * from the rows that `run` gives whether somebody else was faster. For adapters.
 *
 * @throws VersionConflictError when there is no row; InvalidOptionError for a key without a value for every column of it
 * @internal
 */
export async function versionedUpdate<Row>(
  { key, changes, changesName, version, row: what }: VersionedUpdate,
  run: () => Promise<readonly Row[]>,
): Promise<Row> {
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
  const [row] = await run()
  if (row === undefined) throw new VersionConflictError(`${what} that was read`)
  return row
}
