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

/** What an update needs of its pool. */
export interface UpdatingPool {
  fanOut<T>(tasks: { readonly run: () => Promise<T> }, limits: OperationOptions): Promise<{ readonly run: T }>
  own<E>(error: E): E
}

/** The limits of statements that take none themselves, as those of an ORM; and the pool that puts them around. */
interface Within {
  readonly limits: OperationOptions
  /** @throws InvalidOptionError when there is none */
  readonly pool: () => UpdatingPool
}

/**
 * What every `updateVersioned` does around its statement, in whatever way that is built: checks what is given, and tells
 * from the rows that `run` gives whether somebody else was faster. For adapters. `run` gets the key as it was checked: its
 * parts are values, and never a condition that a query builder would read in an object, such as `{ not: 0 }` out of the
 * body of a request.
 *
 * @throws VersionConflictError when there is no row; InvalidOptionError for a key without a value for every column of it,
 * and for no changes
 * @internal
 */
export async function versionedUpdate<Row>(
  { key, changes, changesName, version, row: what }: VersionedUpdate,
  run: (key: Readonly<Record<string, unknown>>) => Promise<readonly Row[]>,
  within?: Within,
): Promise<Row> {
  if (Object.keys(changes).length === 0) throw new InvalidOptionError(changesName, 'empty', 'one column or more')
  const values = Object.entries(key)
  const checked = Object.fromEntries(values)
  if (!Object.hasOwn(checked, version)) {
    throw new InvalidOptionError('key', `without ${version}`, `the key and the ${version} that was read`)
  }
  // An ORM may take a condition without a value for no condition at all.
  const empty = values.find(([, value]) => value === undefined)
  if (empty !== undefined) throw new InvalidOptionError('key', `${empty[0]} undefined`, 'a value for everything in it')
  const condition = values.find(([, value]) => !isValue(value))
  if (condition !== undefined) {
    const [name, value] = condition
    const found = Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
    throw new InvalidOptionError('key', `${name}: ${found}`, 'values only: a text, a number, a bigint, a Date, bytes')
  }
  if (checked[version] === null) throw new InvalidOptionError('key', `${version} null`, 'the version that was read')
  if (values.length < 2) throw new InvalidOptionError('key', `only ${version}`, 'what names one row, and its version')
  if (version in changes) {
    throw new InvalidOptionError(changesName, `with ${version}`, 'others: the version counts itself up')
  }
  const { signal, timeoutMs } = within?.limits ?? {}
  const isLimited = within !== undefined && (signal !== undefined || timeoutMs !== undefined)
  const [row] = isLimited
    ? (await within.pool().fanOut({ run: () => run(checked) }, within.limits)).run
    : await run(checked)
  if (row === undefined) {
    const conflict = new VersionConflictError(`${what} that was read`)
    throw poolOf(within)?.own(conflict) ?? conflict
  }
  return row
}

/** Undefined for a database of an ORM that no pool is known to be behind: its updates need none. */
function poolOf(within: Within | undefined): UpdatingPool | undefined {
  try {
    return within?.pool()
  } catch (error) {
    if (error instanceof InvalidOptionError) return undefined
    throw error
  }
}

/** Functions that make an object a value: JSON has none, and the conditions of query builders have others. */
const writers = ['toJSON', 'toPostgres', 'toFixed'] as const

/** Whether it stands for itself, in SQL and in every query builder. */
function isValue(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol' || Array.isArray(value)) return false
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return true
  return writers.some((name) => typeof (value as { readonly [Name in typeof name]?: unknown })[name] === 'function')
}
