import { classify, isRetryableByDefault } from './classify.js'
import { LifeguardError } from './lifeguard-error.js'

/**
 * A row was not in the version that was read: somebody else changed it in between. Throw it inside
 * `withOptimisticRetry` when an update with `where version = ...` touched no row.
 *
 * @example
 * ```ts
 * import { createPool, VersionConflictError } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * await pool.withOptimisticRetry(async () => {
 *   const { rows } = await pool.query<{ stock: number; version: number }>('select stock, version from item where id = $1', [7])
 *   const [item] = rows
 *   if (item === undefined) throw new Error('no such item')
 *   const { rowCount } = await pool.query(
 *     'update item set stock = $1, version = version + 1 where id = $2 and version = $3',
 *     [item.stock - 1, 7, item.version],
 *   )
 *   if (rowCount === 0) throw new VersionConflictError('item 7')
 * })
 * ```
 */
export class VersionConflictError extends LifeguardError {
  static override readonly name: string = 'VersionConflictError'
  readonly code = 'LIFEGUARD_VERSION_CONFLICT'
  readonly retryable = true
  /** What was in conflict, in the caller's words. */
  readonly subject: string

  constructor(subject: string, options?: ErrorOptions) {
    super(`${subject} was changed by somebody else since it was read`, options)
    this.subject = subject
  }
}

/**
 * A statement of a batch failed, and nothing of the batch took effect. `cause` is what the server said, `pg`'s own
 * DatabaseError; `classify` and `sqlStateOf` look through to it.
 */
export class BatchError extends LifeguardError {
  static override readonly name: string = 'BatchError'
  readonly code = 'LIFEGUARD_BATCH_FAILED'
  /** As the cause is: when the server undid the batch for the sake of others. */
  readonly retryable: boolean
  /** Which statement failed, from 0; undefined when all had succeeded and their commit failed: a deferred constraint. */
  readonly index: number | undefined
  /** The text of that statement, with placeholders where its values went. */
  readonly statement: string | undefined
  /** How many statements the batch had. */
  readonly size: number

  constructor(
    index: number | undefined,
    statement: string | undefined,
    size: number,
    options: { readonly cause: unknown },
  ) {
    const { cause } = options
    const said = cause instanceof Error ? cause.message : String(cause)
    const which = index === undefined ? `the end of a batch of ${size}` : `statement ${index} of a batch of ${size}`
    const text = statement === undefined ? '' : ` in: ${shortened(statement)}`
    super(`${which} failed, and nothing of the batch took effect: ${said}${text}`, options)
    this.retryable = isRetryableByDefault(classify(cause))
    this.index = index
    this.statement = statement
    this.size = size
  }
}

const longestShown = 200
/** No more than this is read of an SQL text in order to show a part of it: it may have megabytes. */
const longestRead = 2_000

function shortened(text: string): string {
  const start = Math.max(0, text.search(/\S/))
  const line = text
    .slice(start, start + longestRead)
    .replace(/\s+/g, ' ')
    .trim()
  const isWhole = line.length <= longestShown && text.length <= start + longestRead
  return isWhole ? line : `${line.slice(0, longestShown)}...`
}

/** The lock was not granted within `waitMs`. */
export class LockTimeoutError extends LifeguardError {
  static override readonly name: string = 'LockTimeoutError'
  readonly code = 'LIFEGUARD_LOCK_TIMEOUT'
  readonly retryable = true
  readonly waitedMs: number

  constructor(lock: string, waitedMs: number, options?: ErrorOptions) {
    super(`lock ${lock} was not granted within ${Math.round(waitedMs)} ms: another session holds it`, options)
    this.waitedMs = waitedMs
  }
}

/**
 * The lock was lost while the callback ran: the session that held it is gone, so another holder may have entered.
 * The handle's `signal` was aborted with this error as soon as it was known.
 */
export class LockLostError extends LifeguardError {
  static override readonly name: string = 'LockLostError'
  readonly code = 'LIFEGUARD_LOCK_LOST'
  readonly retryable = false
  /** How long the lock had been held when the loss was noticed, in milliseconds. */
  readonly heldMs: number
  /** How the callback ended although the lock was lost; undefined while it still runs. */
  outcome: PromiseSettledResult<unknown> | undefined

  constructor(lock: string, heldMs: number, why: string, options?: ErrorOptions) {
    super(`lock ${lock} was lost after ${Math.round(heldMs)} ms: ${why}`, options)
    this.heldMs = heldMs
  }
}

/** The server broke a deadlock (SQLSTATE 40P01) by refusing this lock; `cause` is its error. */
export class DeadlockError extends LifeguardError {
  static override readonly name: string = 'DeadlockError'
  readonly code = 'LIFEGUARD_DEADLOCK'
  readonly retryable = true

  constructor(lock: string, options: { readonly cause: unknown }) {
    super(
      `waiting for lock ${lock} would have been a deadlock; take several locks in one call, they are then sorted`,
      options,
    )
  }
}

/**
 * Session locks mean nothing on this way to the server: a transaction pooler gives each statement to another session, or
 * the server's lock functions do nothing. Use `scope: 'transaction'`, or a connection string that leads to PostgreSQL
 * directly.
 */
export class LockUnsupportedError extends LifeguardError {
  static override readonly name: string = 'LockUnsupportedError'
  readonly code = 'LIFEGUARD_LOCK_UNSUPPORTED'
  readonly retryable = false

  constructor(why: string) {
    super(
      `session locks do not work on this connection: ${why}. Behind a transaction pooler use { scope: 'transaction' }, or connect to PostgreSQL directly`,
    )
  }
}

/** A transaction's handle was used after it had been settled, or after its connection was lost. */
export class TransactionClosedError extends LifeguardError {
  static override readonly name: string = 'TransactionClosedError'
  readonly code = 'LIFEGUARD_TRANSACTION_CLOSED'
  readonly retryable = false

  constructor(state: string, options?: ErrorOptions) {
    super(`this transaction is over (${state}): nothing more can run in it`, options)
  }
}

/**
 * The callback returned normally, but the server had rolled the transaction back: a statement in it failed and the
 * callback swallowed the error. `cause` is that first failure. Nothing was committed.
 */
export class TransactionRolledBackError extends LifeguardError {
  static override readonly name: string = 'TransactionRolledBackError'
  readonly code = 'LIFEGUARD_TRANSACTION_ROLLED_BACK'
  readonly retryable = false

  constructor(options?: ErrorOptions) {
    const said = options?.cause instanceof Error ? `: ${options.cause.message}` : ''
    super(
      `nothing was committed: a statement in the transaction had failed and its error was swallowed${said}. ` +
        'Let the error out of the callback, or run what may fail in a nested withTransaction (a savepoint)',
      options,
    )
  }
}

/**
 * COMMIT was sent and its answer never came: the transaction may or may not have been committed. It is never retried
 * blindly. `cause` is what ended the connection.
 */
export class CommitUnknownError extends LifeguardError {
  static override readonly name: string = 'CommitUnknownError'
  readonly code = 'LIFEGUARD_COMMIT_UNKNOWN'
  readonly retryable = false

  constructor(options: { readonly cause: unknown }) {
    const said = options.cause instanceof Error ? options.cause.message : String(options.cause)
    super(
      `COMMIT was sent but its answer was lost (${said}): the transaction may or may not have been committed`,
      options,
    )
  }
}
