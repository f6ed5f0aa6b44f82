import type { Clock } from './base/clock.js'
import type { Random } from './base/random.js'
import { type ClusterOptions, resolveClusterOptions } from './cluster/cluster-options.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { type HygieneOptions, resetModes } from './host/hygiene.js'
import { defaultOverload, type ResolvedOverload } from './policy/codel.js'
import type { RetryBudgetOptions } from './policy/retry-budget.js'
import { defaultPoolLimits, type PoolLimits, type ResolvedPoolLimits } from './pool/pool-limits.js'
import type { LeakReport } from './pool/resource-factory.js'
import type { PoolSize } from './pool/resource-pool.js'
import type { ConnectOptions } from './wire/connect-options.js'

/** Everything that can be said of a pool. Durations are in milliseconds. */
export interface PoolOptions extends ConnectOptions, PoolLimits, HygieneOptions, ClusterOptions {
  /** Names the pool: in `application_name` unless one is set, and in messages. @default 'lifeguard' */
  readonly name?: string | undefined
  /** How advisory locks are held. */
  readonly locks?: PoolLockOptions | undefined
  /** Bounds on what retries may add to the load while everything fails. @default { reserve: 100, perSuccess: 1 } */
  readonly retryBudget?: RetryBudgetOptions | undefined
  /**
   * Called when a connection was held for longer than `leakDetectionMs`, and again when it came back after all.
   *
   * @default a warning through `process.emitWarning`
   */
  readonly onLeak?: ((leak: LeakReport) => void) | undefined
  /** Time and chance, for tests. @default the system's */
  readonly environment?: { readonly clock?: Clock; readonly random?: Random } | undefined
}

/** How the session locks of a pool are held. */
export interface PoolLockOptions {
  /**
   * Connections that locks share, `1` or more: any number of locks that were free when they were asked for are held by
   * these few. A lock that must be waited for takes a connection of its own.
   *
   * @default 4
   */
  readonly maxConnections?: number | undefined
  /**
   * How often a connection with locks asks the server whether it still has them, in milliseconds; the answer may take as
   * long again, so that a silent partition is noticed within twice this time. A connection that ends is noticed at once.
   *
   * @default 5000
   */
  readonly heartbeatMs?: number | undefined
  /**
   * Whether to find out, before the first lock, that session locks work on this way to the server.
   *
   * @default true
   */
  readonly selfTest?: boolean | undefined
}

/** The defaults of PoolLockOptions. */
export const defaultPoolLocks = { maxConnections: 4, heartbeatMs: 5_000, selfTest: true } as const

/** Options of `pg.Pool` that have another name or place here. */
const renamed: Readonly<Record<string, string>> = {
  idleTimeoutMillis: 'idleTimeoutMs',
  connectionTimeoutMillis: 'acquireTimeoutMs (for the whole wait) and connectTimeoutMs (for one connection)',
  maxLifetimeSeconds: 'maxLifetimeMs, in milliseconds',
  statement_timeout: 'statementTimeoutMs',
  idle_in_transaction_session_timeout: 'idleInTransactionTimeoutMs',
  lock_timeout: "settings: { lock_timeout: '500ms' }",
  query_timeout: 'statementTimeoutMs, or timeoutMs for one call',
  keepAliveInitialDelayMillis: 'keepAliveInitialDelayMs',
  application_name: 'applicationName',
  fallback_application_name: 'name',
  allowExitOnIdle: 'nothing: call end() when the work is done',
  options: "settings: { name: 'value' }",
}

const known: ReadonlySet<string> = new Set([
  ...Object.keys(defaultPoolLimits),
  ...[
    'connectionString',
    'host',
    'port',
    'user',
    'password',
    'database',
    'ssl',
    'types',
    'connectTimeoutMs',
    'keepAlive',
  ],
  ...['keepAliveInitialDelayMs', 'statementTimeoutMs', 'idleInTransactionTimeoutMs', 'applicationName', 'settings'],
  ...['name', 'retryBudget', 'locks', 'onLeak', 'environment', 'resetOnRelease'],
  ...['replicas', 'maxLagMs', 'maxLagBytes', 'failoverTimeoutMs', 'causalityWaitMs', 'readFunctions', 'primaryOnly'],
])

/** Durations that may also be Infinity, for never. */
const durations = ['acquireTimeoutMs', 'idleTimeoutMs', 'validateAfterIdleMs'] as const

/** Durations that something else than this library counts, or that must come to an end. */
const finiteDurations = [
  'leakDetectionMs',
  'connectTimeoutMs',
  'keepAliveInitialDelayMs',
  'statementTimeoutMs',
  'idleInTransactionTimeoutMs',
] as const

/**
 * Checks every option and fills in the defaults of the limits.
 *
 * @throws InvalidOptionError at the first that is not what it may be
 */
export function resolveLimits(options: PoolOptions): ResolvedPoolLimits {
  if (typeof options !== 'object' || options === null)
    throw new InvalidOptionError('the options', `of type ${typeof options}`, 'an object')
  for (const name of Object.keys(options)) {
    const here = renamed[name]
    if (here !== undefined) throw new InvalidOptionError(name, 'an option of pg.Pool', `here it is ${here}`)
    if (!known.has(name)) throw new InvalidOptionError(name, 'not an option', [...known].sort().join(', '))
  }
  for (const name of durations) {
    const value = options[name]
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new InvalidOptionError(name, show(value), 'a number of milliseconds, 0 or more')
    }
  }
  for (const name of finiteDurations) {
    const value = options[name]
    if (value !== undefined && !(typeof value === 'number' && Number.isFinite(value) && value >= 0)) {
      throw new InvalidOptionError(name, show(value), 'a finite number of milliseconds, 0 or more')
    }
  }
  const { connectionString, port, name, settings, retryBudget, maxLifetimeMs } = options
  if (maxLifetimeMs !== undefined && !(typeof maxLifetimeMs === 'number' && maxLifetimeMs > 0)) {
    throw new InvalidOptionError(
      'maxLifetimeMs',
      show(maxLifetimeMs),
      'a number of milliseconds above 0; Infinity for no end',
    )
  }
  if (name !== undefined && (typeof name !== 'string' || name === '')) {
    throw new InvalidOptionError('name', show(name), 'a text of at least one character')
  }
  for (const [setting, value] of Object.entries(settings ?? {})) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw new InvalidOptionError(`settings.${setting}`, `of type ${typeof value}`, 'a text, a number or a boolean')
    }
  }
  for (const part of ['reserve', 'perSuccess'] as const) {
    const value = retryBudget?.[part]
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) {
      throw new InvalidOptionError(`retryBudget.${part}`, show(value), 'a number, 0 or more')
    }
  }
  if (connectionString !== undefined) assertUrl(connectionString)
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw new InvalidOptionError('port', show(port), 'a whole number from 1 to 65535')
  }
  const { maxConnections, heartbeatMs } = { ...defaultPoolLocks, ...options.locks }
  whole('locks.maxConnections', maxConnections, 1, Number.MAX_SAFE_INTEGER)
  if (!(typeof heartbeatMs === 'number' && Number.isFinite(heartbeatMs) && heartbeatMs > 0)) {
    throw new InvalidOptionError('locks.heartbeatMs', show(heartbeatMs), 'a finite number of milliseconds above 0')
  }
  resolveClusterOptions(options)
  if (options.resetOnRelease !== undefined && !resetModes.includes(options.resetOnRelease)) {
    throw new InvalidOptionError('resetOnRelease', show(options.resetOnRelease), resetModes.join(', '))
  }
  const limits = {
    ...defaultPoolLimits,
    ...withoutUndefined(pick(options)),
    overload: resolveOverload(options.overload),
  }
  whole('max', limits.max, 1, Number.MAX_SAFE_INTEGER)
  whole('min', limits.min, 0, limits.max, `a whole number from 0 to max (${limits.max})`)
  whole('maxUses', limits.maxUses, 0, Number.MAX_SAFE_INTEGER)
  if (limits.maxWaiting !== Number.POSITIVE_INFINITY) whole('maxWaiting', limits.maxWaiting, 0, Number.MAX_SAFE_INTEGER)
  return limits
}

function resolveOverload(overload: PoolOptions['overload']): ResolvedOverload | false {
  if (overload === false) return false
  if (overload !== undefined && (typeof overload !== 'object' || overload === null)) {
    throw new InvalidOptionError('overload', show(overload), '{ targetMs, intervalMs } or false')
  }
  for (const name of Object.keys(overload ?? {})) {
    if (!(name in defaultOverload)) {
      throw new InvalidOptionError(`overload.${name}`, 'not an option', Object.keys(defaultOverload).join(', '))
    }
  }
  const { targetMs, intervalMs } = { ...defaultOverload, ...withoutUndefined(overload ?? {}) }
  if (!(typeof targetMs === 'number' && Number.isFinite(targetMs) && targetMs > 0)) {
    throw new InvalidOptionError('overload.targetMs', show(targetMs), 'a finite number of milliseconds above 0')
  }
  if (!(typeof intervalMs === 'number' && Number.isFinite(intervalMs) && intervalMs >= targetMs)) {
    const allowed = `a finite number of milliseconds, targetMs (${targetMs}) or more`
    throw new InvalidOptionError('overload.intervalMs', show(intervalMs), allowed)
  }
  return { targetMs, intervalMs }
}

function pick(options: PoolOptions): PoolLimits {
  return Object.fromEntries(Object.keys(defaultPoolLimits).map((name) => [name, options[name as keyof PoolLimits]]))
}

/**
 * Checks the new sizes of a pool that has these.
 *
 * @throws InvalidOptionError when they are not what they may be
 */
export function assertSize(size: PoolSize, now: { readonly max: number; readonly min: number }): void {
  const { max = now.max, min = now.min } = size
  whole('max', max, 1, Number.MAX_SAFE_INTEGER)
  whole('min', min, 0, max, `a whole number from 0 to max (${max})`)
}

/** The same object without the fields that are undefined, so that they do not hide a default. */
export function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}

function whole(
  name: string,
  value: unknown,
  least: number,
  most: number,
  allowed = `a whole number, ${least} or more`,
): void {
  if (!(typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most)) {
    throw new InvalidOptionError(name, show(value), allowed)
  }
}

/** A URL may hold a password: what is wrong with it is said without showing it. */
function assertUrl(value: unknown): void {
  const allowed = 'postgres://user:password@host:port/database'
  if (typeof value !== 'string') throw new InvalidOptionError('connectionString', `of type ${typeof value}`, allowed)
  // A path is a Unix socket; two slashes are a URL that has lost its scheme, and may hold a password.
  const isPath = value.startsWith('/') && !value.startsWith('//')
  if (isPath || /^(postgres(ql)?|socket):/.test(value)) return
  const scheme = /^[a-z][a-z0-9+.-]{0,20}(?=:\/\/)/i.exec(value)?.[0]
  const given = scheme === undefined ? 'not a URL' : `not a URL of PostgreSQL (its scheme is ${scheme})`
  throw new InvalidOptionError('connectionString', given, allowed)
}

function show(value: unknown): string {
  return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
}
