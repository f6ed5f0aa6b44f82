import type { Clock } from './base/clock.js'
import type { Duration, InMs } from './base/duration.js'
import type { Random } from './base/random.js'
import { acceptValue, checkOptions, nest } from './check-options.js'
import { connectSettings } from './connection-options.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import type { HygieneOptions } from './host/hygiene.js'
import { mergeOptions } from './merge-options.js'
import { optionTable } from './option-table.js'
import { defaultOverload, type ResolvedOverload } from './policy/codel.js'
import type { RetryBudgetOptions } from './policy/retry-budget.js'
import { Budget } from './pool/budget.js'
import { defaultPoolLimits, type PoolLimits, type ResolvedPoolLimits } from './pool/pool-limits.js'
import type { LeakReport } from './pool/resource-factory.js'
import type { PoolSize } from './pool/resource-pool.js'
import type { ConnectOptions } from './wire/connect-options.js'
import type { ConnectSettings } from './wire/connect-settings.js'

/** Everything that can be said of a pool. Durations are numbers of milliseconds, or texts such as '15s'. */
export interface PoolOptions extends ConnectOptions, PoolLimits, HygieneOptions {
  /**
   * A budget that this pool shares with others, made by `createBudget`: the pool opens no connection that the budget
   * has no place for, and `max` is what it may have at most of it. Its `min` are never taken from it.
   *
   * @default undefined (none)
   */
  readonly budget?: Budget | undefined
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
  readonly heartbeatMs?: Duration | undefined
  /**
   * Whether to find out, before the first lock, that session locks work on this way to the server.
   *
   * @default true
   */
  readonly selfTest?: boolean | undefined
}

/** The defaults of PoolLockOptions. */
export const defaultPoolLocks = { maxConnections: 4, heartbeatMs: 5_000, selfTest: true } as const

/** The options of a pool, checked, with every duration in milliseconds. */
export interface ResolvedPoolOptions {
  /** Sizes and times, with their defaults. */
  readonly limits: ResolvedPoolLimits
  /** How to connect, from the fields, the connection string and the environment together. */
  readonly connect: ConnectSettings
  /** What was said in fields or in the connection string of everything, without defaults. */
  readonly options: InMs<PoolOptions>
}

<<<<<<< HEAD
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
  ...['name', 'retryBudget', 'locks', 'onLeak', 'environment', 'resetOnRelease', 'budget'],
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

=======
>>>>>>> main
/**
 * Checks every option, takes in what the connection string and the environment say, and fills in defaults.
 *
 * @throws InvalidOptionError at the first that is not what it may be, or is said twice in different ways
 */
export function resolveOptions(given: PoolOptions, environment: NodeJS.ProcessEnv = process.env): ResolvedPoolOptions {
  const values = mergeOptions(checkOptions(given), environment)
  const options = nest(values) as InMs<PoolOptions>
  for (const [setting, value] of Object.entries(options.settings ?? {})) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw new InvalidOptionError(`settings.${setting}`, `of type ${typeof value}`, 'a text, a number or a boolean')
    }
  }
<<<<<<< HEAD
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
  if (options.budget !== undefined && !(options.budget instanceof Budget)) {
    throw new InvalidOptionError('budget', `of type ${typeof options.budget}`, 'what createBudget() gives')
  }
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
=======
  const limits = { ...defaultPoolLimits, ...pick(options), overload: resolveOverload(options.overload) }
  assertSize({}, limits)
  return { limits, options, connect: connectSettings(values) }
>>>>>>> main
}

function resolveOverload(given: InMs<PoolOptions>['overload']): ResolvedOverload | false {
  if (given === false) return false
  const overload: ResolvedOverload = { ...defaultOverload, ...withoutUndefined(given ?? {}) }
  if (overload.intervalMs < overload.targetMs) {
    const allowed = `a finite number of milliseconds, targetMs (${overload.targetMs}) or more`
    throw new InvalidOptionError('overload.intervalMs', String(overload.intervalMs), allowed)
  }
  return overload
}

function pick(options: InMs<PoolOptions>): Partial<Omit<ResolvedPoolLimits, 'overload'>> {
  const given = Object.entries(options).filter(([name]) => Object.hasOwn(defaultPoolLimits, name))
  return Object.fromEntries(given)
}

/**
 * Checks the new sizes of a pool that has these.
 *
 * @throws InvalidOptionError when they are not what they may be
 */
export function assertSize(size: PoolSize, now: { readonly max: number; readonly min: number }): void {
  const { max = now.max, min = now.min } = size
  for (const [name, value] of Object.entries({ max, min })) {
    const kind = optionTable[name]
    if (kind !== undefined) acceptValue(name, kind, value)
  }
  if (min > max) throw new InvalidOptionError('min', String(min), `a whole number from 0 to max (${max})`)
}

/** The same object without the fields that are undefined, so that they do not hide a default. */
export function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
<<<<<<< HEAD

/** @throws InvalidOptionError unless it is a whole number in these bounds */
export function whole(
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
=======
>>>>>>> main
