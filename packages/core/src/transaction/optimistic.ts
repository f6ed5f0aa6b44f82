import { givenUp, type OperationOptions } from '../deadline/deadline.js'
import { classifyOwn, ownCause } from '../errors/classify.js'
import { assertKnownOptions, fieldsOf, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { ownedBy } from '../errors/origin.js'
import { VersionConflictError } from '../errors/transaction-errors.js'
import type { Queryable } from '../query/queryable.js'
import { assertBackoff, type BackoffOptions, defaultAttempts } from '../resilience/retry.js'
import type { Turn, TurnOutcome } from '../resilience/retry-gate.js'
import { quoteIdentifier, quoteName } from '../sql/quote.js'
import { runWithin } from './ambient-deadline.js'
import type { SessionEnvironment } from './environment.js'
import { isConflict, pauseBeforeRetry } from './retry-pause.js'

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

/** What bounds statements that take no limits themselves, as those of an ORM: its pool does. */
interface Fanning {
  fanOut<T>(tasks: { readonly run: () => Promise<T> }, limits: OperationOptions): Promise<{ readonly run: T }>
}

/** The limits of the statement, and the pool that puts them around it and whose errors are its own. */
interface Within {
  readonly limits: OperationOptions
  /** @throws InvalidArgumentError when there is none */
  readonly pool: () => { readonly pool: Fanning; own<E>(error: E): E }
}

/**
 * What every `updateVersioned` does around its statement, in whatever way that is built: checks what is given, and reports
 * from the rows that `run` gives whether somebody else was faster. For adapters. `run` gets the key as it was checked: its
 * parts are values, and never a condition that a query builder would read in an object, such as `{ not: 0 }` out of the
 * body of a request.
 *
 * @throws VersionConflictError when there is no row; InvalidArgumentError for a key without a value for every column of it,
 * and for no changes
 * @internal
 */
export async function versionedUpdate<Row>(
  { key, changes, changesName, version, row: what }: VersionedUpdate,
  run: (key: Readonly<Record<string, unknown>>) => Promise<readonly Row[]>,
  within?: Within,
): Promise<Row> {
  if (Object.keys(changes).length === 0) throw new InvalidArgumentError(changesName, 'empty', 'one column or more')
  const values = Object.entries(key)
  const checked = Object.fromEntries(values)
  if (!Object.hasOwn(checked, version)) {
    throw new InvalidArgumentError('key', `without ${version}`, `the key and the ${version} that was read`)
  }
  // An ORM may take a condition without a value for no condition at all.
  const empty = values.find(([, value]) => value === undefined)
  if (empty !== undefined)
    throw new InvalidArgumentError('key', `${empty[0]} undefined`, 'a value for everything in it')
  const condition = values.find(([, value]) => !isValue(value))
  if (condition !== undefined) {
    const [name, value] = condition
    const found = Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
    throw new InvalidArgumentError(
      'key',
      `${name}: ${found}`,
      'values only: a string, a number, a bigint, a Date, bytes',
    )
  }
  if (checked[version] === null) throw new InvalidArgumentError('key', `${version} null`, 'the version that was read')
  if (values.length < 2) throw new InvalidArgumentError('key', `only ${version}`, 'what names one row, and its version')
  if (version in changes) {
    throw new InvalidArgumentError(changesName, `with ${version}`, 'others: the version counts itself up')
  }
  const { signal, timeoutMs } = within?.limits ?? {}
  const isLimited = within !== undefined && (signal !== undefined || timeoutMs !== undefined)
  const [row] = isLimited
    ? (await within.pool().pool.fanOut({ run: () => run(checked) }, within.limits)).run
    : await run(checked)
  if (row === undefined) {
    const conflict = new VersionConflictError(`${what} that was read`)
    throw poolOf(within)?.own(conflict) ?? conflict
  }
  return row
}

/** Undefined for a database of an ORM whose pool is not known: its updates need none. */
function poolOf(within: Within | undefined): ReturnType<Within['pool']> | undefined {
  try {
    return within?.pool()
  } catch (error) {
    if (error instanceof InvalidArgumentError) return undefined
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
  on: Queryable & Fanning,
  environment: SessionEnvironment,
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
  const own = <E>(error: E): E => ownedBy(error, environment.server.environment)
  // The statement takes its limits itself.
  return await versionedUpdate(update, run, { limits: {}, pool: () => ({ pool: on, own }) })
}

/** How often, and how long, optimistic work is tried. */
export interface OptimisticRetryOptions extends OperationOptions {
  /**
   * How often the callback runs at most, the first time included; `1` or more.
   *
   * @default 10
   */
  readonly attempts?: number | undefined
  /**
   * The pauses between attempts, with full jitter. Who gives them does not take turns.
   *
   * @default work of the pool that has met a conflict takes turns, as transactions do: see `RetryOptions`
   */
  readonly backoff?: BackoffOptions | undefined
}

/** What the callback of `withOptimisticRetry` gets. */
export interface OptimisticAttempt {
  /** `1` the first time, `2` the second, and so on. */
  readonly attempt: number
}

const names = optionNames<OptimisticRetryOptions>({ signal: true, timeoutMs: true, attempts: true, backoff: true })

/**
 * Runs `fn` until it gets through without a VersionConflictError: read, decide, and write with `where version = ...`.
 * Outside of a transaction it also runs again when the server undid a statement for the sake of others (40001, 40P01);
 * inside one that is for the transaction to do. After the last attempt the conflict itself is thrown.
 */
export async function withOptimisticRetry<T>(
  environment: SessionEnvironment,
  fn: (attempt: OptimisticAttempt) => Promise<T>,
  options: OptimisticRetryOptions = {},
): Promise<T> {
  assertKnownOptions(options, names)
  const { attempts = defaultAttempts, backoff } = options
  assertBackoff('backoff', backoff)
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
  if (!(Number.isInteger(attempts) && attempts >= 1)) {
    throw new InvalidArgumentError('attempts', String(attempts), 'a whole number, 1 or more')
  }
  const { ambient, server } = environment
  const owner = server.environment
  const deadline = ambient.deadlineFor(options)
  let turn: Turn | undefined
  for (let attempt = 1; ; attempt++) {
    const work = (): Promise<T> => runWithin(environment, deadline, () => fn({ attempt }))
    try {
      return await (turn === undefined ? work() : inTurn(environment, turn, work))
    } catch (error) {
      const reason = classifyOwn(error, owner)
      const again = reason === 'version-conflict' || (isConflict(reason) && ambient.current?.transaction === undefined)
      if (!again || attempt >= attempts) throw error
      const failed = { attempt, reason, error: ownCause(error, owner) }
      const pause = await pauseBeforeRetry(environment, failed, backoff, deadline, true)
      if (pause !== undefined && pause.kind !== 'turn') throw ownedBy(givenUp(pause, 'cancelled', error), owner)
      turn = pause
    }
  }
}

/** Work inside of it, such as a transaction, must not wait for the turn that this one has: it sees that it is inside. */
async function inTurn<T>({ ambient, server }: SessionEnvironment, turn: Turn, work: () => Promise<T>): Promise<T> {
  let became: TurnOutcome = 'other'
  try {
    const value = await ambient.run({ holder: { held: 0, parent: ambient.current?.holder } }, work)
    became = 'succeeded'
    return value
  } catch (error) {
    if (isConflict(classifyOwn(error, server.environment))) became = 'conflict'
    throw error
  } finally {
    turn.left(became)
  }
}
