import type { Prelude } from '../connection/operation.js'
import { assertRole, assertSettings, longestServerMs } from '../connection/runtime-settings.js'
import type { Clock } from '../deadline/clock.js'
import type { OperationOptions } from '../deadline/deadline.js'
import { assertFlag, assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { assertBackoff, type BackoffOptions } from '../resilience/retry.js'
import { type LockKey, serverKeys } from '../sql/lock-key.js'
import { settingMatters } from '../sql/prepared-statements.js'
import { CommitProof, type CommitProofOptions } from './commit-proof.js'
import { transactionLocks } from './lock-sql.js'

/**
 * The levels of the SQL standard; PostgreSQL does the same for the first two.
 * https://www.postgresql.org/docs/18/transaction-iso.html
 */
export type IsolationLevel = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable'

const isolationLevels: ReadonlySet<string> = new Set<IsolationLevel>([
  'read uncommitted',
  'read committed',
  'repeatable read',
  'serializable',
])

/** How one transaction begins. All of it travels with the first statement, at no round trip of its own. */
export interface BeginOptions {
  /** @default the server's `default_transaction_isolation`, usually 'read committed' */
  readonly isolation?: IsolationLevel | undefined
  /** Writes fail with SQLSTATE 25006. @default the server's setting, usually false */
  readonly readOnly?: boolean | undefined
  /**
   * Waits for a moment in which a serializable, read-only transaction cannot fail any more; of use with both only.
   *
   * @default false
   */
  readonly deferrable?: boolean | undefined
  /** The server stops a statement of this transaction that runs longer, in milliseconds. @default the session's setting */
  readonly statementTimeoutMs?: number | undefined
  /** The longest wait for one row, table or advisory lock, in milliseconds; then SQLSTATE 55P03. @default the session's setting */
  readonly lockTimeoutMs?: number | undefined
  /** The server ends the session when the transaction idles longer, in milliseconds. @default the session's setting */
  readonly idleTimeoutMs?: number | undefined
  /**
   * Runtime parameters for this transaction only: `{ 'app.tenant_id': '42' }` for row-level security. Whoever names them
   * gives them: `undefined`, for all or for one, is refused, as the transaction would run without.
   */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
  /** The role that the transaction runs as, by SET LOCAL ROLE. `undefined` and 'none' are refused, as is `settings`. */
  readonly role?: string
  /**
   * Advisory locks that are acquired after BEGIN and held until the end, each by the rules of `withLock`: names, numbers or
   * pairs, sorted. They travel with the first statement and cost no round trip, but nothing is locked before that. The
   * wait is bounded by `lockTimeoutMs` alone, then SQLSTATE 55P03. Meant for 'read committed': under the stronger levels the
   * snapshot is as old as the wait, and does not show what the last holder wrote.
   */
  readonly locks?: LockKey | readonly LockKey[] | undefined
}

/** When a transaction is run again. */
export interface RetryOptions {
  /**
   * How often the callback runs at most, the first time included; `1` or more.
   *
   * @default 10
   */
  readonly attempts?: number | undefined
  /** The pauses between attempts, with full jitter. @default { baseMs: 1, capMs: 1000 } */
  readonly backoff?: BackoffOptions | undefined
}

/** How a transaction ends. */
export interface CommitOptions {
  /**
   * Finds out what became of a COMMIT whose answer was lost, in place of throwing CommitUnknownError at once: committed,
   * and the value is returned; or not, and the transaction may be run again. Costs a transaction id for each
   * transaction, read-only ones excepted, and no round trip.
   *
   * @default false
   */
  readonly proveCommit?: boolean | CommitProofOptions | undefined
}

/** Everything that can be said of one call of `withTransaction`. */
export interface TransactionOptions extends BeginOptions, CommitOptions, OperationOptions {
  /**
   * The callback runs again, from its first line, when the server undid the transaction for the sake of others (40001,
   * 40P01), or when the connection was lost before COMMIT was sent. `false` never does. What the callback does outside
   * of the transaction is then done again too.
   *
   * @default { attempts: 10 }
   */
  readonly retry?: RetryOptions | false | undefined
}

const beginNames = {
  isolation: true,
  readOnly: true,
  deferrable: true,
  statementTimeoutMs: true,
  lockTimeoutMs: true,
  idleTimeoutMs: true,
  settings: true,
  role: true,
  locks: true,
  proveCommit: true,
  signal: true,
  timeoutMs: true,
} as const

/** The names of `TransactionOptions`. */
const transactionNames = optionNames<TransactionOptions>({ ...beginNames, retry: true })
/** The names of the options of a transaction that its caller ends. */
export const manualNames = optionNames<BeginOptions & CommitOptions & OperationOptions>(beginNames)
const retryNames = optionNames<RetryOptions>({ attempts: true, backoff: true })
const proofNames = optionNames<CommitProofOptions>({ markerTable: true, timeoutMs: true })

/**
 * Checks everything that is said of a transaction, before anything of it is begun. For adapters.
 *
 * @throws InvalidArgumentError
 * @internal
 */
export function assertTransactionOptions(options: TransactionOptions, names = transactionNames): void {
  assertKnownOptions(options, names)
  const { proveCommit, retry } = options
  assertIsolation(options.isolation)
  assertFlag('readOnly', options.readOnly)
  assertFlag('deferrable', options.deferrable)
  for (const name of serverTimes) {
    const ms = options[name]
    if (ms !== undefined) milliseconds(name, ms)
  }
  // Given as undefined, or as nothing, they are a mistake that would leave the transaction with more rights.
  if ('role' in options) assertRole('role', options.role)
  if ('settings' in options) assertSettings('settings', options.settings, 'the option role')
  if (typeof proveCommit !== 'boolean') assertKnownOptions(proveCommit, proofNames, 'proveCommit.')
  if (retry === undefined || retry === false) return
  assertKnownOptions(retry, retryNames, 'retry.')
  if (retry.attempts !== undefined && !(Number.isInteger(retry.attempts) && retry.attempts >= 1)) {
    throw new InvalidArgumentError('retry.attempts', String(retry.attempts), 'a whole number, 1 or more')
  }
  assertBackoff('retry.backoff', retry.backoff)
}

function assertIsolation(isolation: IsolationLevel | undefined): void {
  if (isolation === undefined || isolationLevels.has(isolation)) return
  throw new InvalidArgumentError('isolation', JSON.stringify(isolation), [...isolationLevels].join(', '))
}

const serverTimes = ['statementTimeoutMs', 'lockTimeoutMs', 'idleTimeoutMs'] as const

/**
 * BEGIN with its characteristics, then what holds for this transaction only; each value as a parameter. The proof's part
 * comes before the role, which may have fewer rights than the one that logged in.
 */
export function beginPreludes(options: BeginOptions, proof?: CommitProof): Prelude[] {
  const { isolation, readOnly, deferrable, settings, role } = options
  assertIsolation(isolation)
  let begin = 'begin'
  if (isolation !== undefined) begin += ` isolation level ${isolation}`
  if (readOnly !== undefined) begin += readOnly ? ' read only' : ' read write'
  if (deferrable !== undefined) begin += deferrable ? ' deferrable' : ' not deferrable'
  const local: [string, string][] = Object.entries(settings ?? {}).map(([name, value]) => [name, String(value)])
  if (options.statementTimeoutMs !== undefined)
    local.push(['statement_timeout', milliseconds('statementTimeoutMs', options.statementTimeoutMs)])
  if (options.lockTimeoutMs !== undefined)
    local.push(['lock_timeout', milliseconds('lockTimeoutMs', options.lockTimeoutMs)])
  if (options.idleTimeoutMs !== undefined) {
    local.push(['idle_in_transaction_session_timeout', milliseconds('idleTimeoutMs', options.idleTimeoutMs)])
  }
  if (role !== undefined) local.push(['role', role])
  const meaning = meaningOf(local)
  const preludes: Prelude[] = [{ text: begin, meaning }, ...(proof?.preludes() ?? [])]
  for (const values of local)
    preludes.push({ text: 'select pg_catalog.set_config($1::pg_catalog.text, $2::pg_catalog.text, true)', values })
  if (options.locks !== undefined) {
    const waitMs =
      options.lockTimeoutMs === undefined || options.lockTimeoutMs === 0
        ? Number.POSITIVE_INFINITY
        : options.lockTimeoutMs
    preludes.push(...transactionLocks(serverKeys(options.locks, undefined), 'exclusive', waitMs, ''))
  }
  return preludes
}

/** What an SQL text means, and how its statement is prepared, depends on these. */
function meaningOf(settings: readonly (readonly [name: string, value: string])[]): string | undefined {
  const mattering = settings.filter(([name]) => settingMatters(name))
  return mattering.length === 0 ? undefined : JSON.stringify(mattering)
}

/** The server counts whole milliseconds, and takes 0 for 'never'. */
export function milliseconds(name: string, ms: number): string {
  if (!(Number.isFinite(ms) && ms >= 0 && ms <= longestServerMs)) {
    throw new InvalidArgumentError(
      name,
      String(ms),
      `a number of milliseconds from 0 to ${longestServerMs}; 0 for no limit`,
    )
  }
  return String(ms === 0 ? 0 : Math.max(1, Math.round(ms)))
}

/** The proof that these options ask for; a transaction that cannot write needs none. */
export function commitProof(
  { proveCommit, readOnly }: CommitOptions & BeginOptions,
  clock: Clock,
): CommitProof | undefined {
  if (proveCommit === undefined || proveCommit === false || readOnly === true) return undefined
  return new CommitProof(proveCommit === true ? {} : proveCommit, clock)
}
