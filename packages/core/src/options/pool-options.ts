import {
  type ClusterOptions,
  type ResolvedClusterOptions,
  type ResolvedReplica,
  resolveClusterOptions,
} from '../cluster/cluster-options.js'
import type { ConnectOptions, ConnectSettings } from '../connection/connect/settings.js'
import { assertReadableSwitches, assertSettings } from '../connection/runtime-settings.js'
import type { Clock, Random } from '../deadline/clock.js'
import type { Duration, InMs } from '../deadline/duration.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { OnConnect } from '../pg-compat/new-connection.js'
import {
  type BreakerOptions,
  type ResolvedBreakerOptions,
  resolveBreakerOptions,
} from '../resilience/breaker-options.js'
import { defaultOverload, type ResolvedOverload } from '../resilience/codel.js'
import type { RetryBudgetOptions } from '../resilience/retry.js'
import type { Budget } from '../resource-pool/budget.js'
import { defaultPoolLimits, type PoolLimits, type PoolSize, type ResolvedPoolLimits } from '../resource-pool/limits.js'
import type { LeakReport } from '../resource-pool/resource.js'
import type { HygieneOptions } from '../server/reset.js'
import { defaultPipelining, type PipeliningOptions, type StatementOptions } from '../server/server-options.js'
import { ReadRule } from '../sql/read-only.js'
import { connectSettings, replicaSettings } from './connect-settings.js'
import { isSame, readConnectionString, readEnvironment } from './connection-string.js'
import { optionTable } from './option-schema.js'
import { acceptValue, checkOptions, nest, type OptionValues } from './validate.js'

/** What a pool watches for. */
export interface WatchOptions {
  /**
   * A statement that takes longer than this is counted as slow, and told as `slow-query`; in milliseconds. `Infinity`
   * for none.
   *
   * @default 100
   */
  readonly slowQueryMs?: number | undefined
  /**
   * When the pool stops asking a server that fails, so that callers are answered at once in place of waiting for nothing;
   * `false` for never. One breaker for each host.
   *
   * @default { failureRate: 0.5, slowRate: 0.8, slowAfterMs: 30000, minCalls: 20, windowMs: 10000, halfOpenCalls: 3,
   * openMs: 1000, maxOpenMs: 30000 }
   */
  readonly breaker?: BreakerOptions | false | undefined
}

/** The options with every default filled in. */
export interface ResolvedWatchOptions {
  readonly slowQueryMs: number
  readonly breaker: ResolvedBreakerOptions | undefined
}

const defaultSlowQueryMs = 100

/**
 * Checks them and fills in the defaults.
 *
 * @throws InvalidArgumentError at the first that is not what it may be
 */
export function resolveWatchOptions({
  slowQueryMs = defaultSlowQueryMs,
  breaker = {},
}: WatchOptions): ResolvedWatchOptions {
  if (!(typeof slowQueryMs === 'number' && slowQueryMs >= 0)) {
    throw new InvalidArgumentError('slowQueryMs', String(slowQueryMs), 'a number of milliseconds, 0 or more')
  }
  return { slowQueryMs, breaker: breaker === false ? undefined : resolveBreakerOptions(breaker, 'breaker.') }
}

/** What must not come from the environment when `other` was said: it would be about something else. */
const goesWith: Readonly<Record<string, readonly string[]>> = {
  // An address is that of a host.
  hostaddr: ['host'],
  // The option ssl is all that is to be said of TLS, and so is a URL's ssl.
  sslmode: ['ssl', 'sslText'],
  sslrootcert: ['ssl', 'sslText'],
  sslcert: ['ssl', 'sslText'],
  sslkey: ['ssl', 'sslText'],
  ssl_min_protocol_version: ['ssl'],
  ssl_max_protocol_version: ['ssl'],
}

/**
 * Adds to the fields what the connection string says, and to both what the environment says of the rest. Fields and
 * connection string stand side by side: neither can be what the user did not mean, so a difference is an error.
 *
 * @throws InvalidArgumentError
 */
export function mergeOptions(fields: OptionValues, environment: NodeJS.ProcessEnv): OptionValues {
  const values: OptionValues = new Map(fields)
  const connectionString = fields.get('connectionString')
  if (connectionString !== undefined) {
    for (const [path, value] of readConnectionString(connectionString as string)) {
      // The URL's ssl is a text, and the option's is not; what they say together is settled where TLS is.
      const key = path === 'ssl' ? 'sslText' : path
      if (values.has(key) && !isSame(values.get(key), value)) {
        throw new InvalidArgumentError(path, 'one thing in the options and another in connectionString', 'one of them')
      }
      values.set(key, value)
    }
  }
  const said = new Set(values.keys())
  for (const [path, value] of readEnvironment(environment)) {
    if (said.has(path) || goesWith[path]?.some((other) => said.has(other)) === true) continue
    values.set(path, value)
  }
  return values
}

/** Everything that can be said of a pool. Durations are numbers of milliseconds, or texts such as '15s'. */
export interface PoolOptions extends ConnectOptions, PoolLimits, HygieneOptions, ClusterOptions, WatchOptions {
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
  /**
   * How `query` shares connections while all are in use: statements outside of transactions are then sent on a connection
   * before the answer to the one before has come. `false` never shares, which a pooler in between may need; neither does
   * a pool with `resetOnRelease: 'full'`.
   *
   * @default { maxDepth: 16, maxBytes: 1048576, slowAfterMs: 20 }
   */
  readonly pipelining?: PipeliningOptions | false | undefined
  /**
   * Sends a single statement that only reads once more, on another connection and within its own deadline, when its
   * connection is lost before the answer: a killed backend or a restarted server then costs reads nothing. Only outside
   * of transactions, and never what may write; what counts as a read is what may go to a replica, see `readFunctions`.
   *
   * @default true
   */
  readonly retryReads?: boolean | undefined
  /** How the session is kept that `listen` uses. */
  readonly listen?: PoolListenOptions | undefined
  /** Bounds on what retries may add to the load while everything fails. @default { reserve: 100, perSuccess: 1 } */
  readonly retryBudget?: RetryBudgetOptions | undefined
  /**
   * Called with each new connection of the pool before anybody else has it, and awaited: what it asks there with `query`
   * goes ahead of everything. What it throws, or rejects with, refuses the connection: the first caller that waits gets
   * that error, the session is closed, and the next attempt may succeed. It may take as long as `connectTimeoutMs`. It
   * runs in no caller's context. `connection.asPgClient()` is the connection as a `pg.Client`, for code that takes one. For
   * settings alone, `settings` costs no round trip, and is not undone by
   * `resetOnRelease: 'full'`. Sessions beside the pool, such as that of `listen`, are not its affair.
   *
   * @default undefined (nothing)
   */
  readonly onConnect?: OnConnect | undefined
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

/** How the session is kept that `listen` uses, beside the connections of the pool. */
export interface PoolListenOptions {
  /**
   * How often it is asked for a sign of life, in milliseconds; the answer may take as long again, so that a silent
   * partition is noticed within twice this time. A session that ends is noticed at once.
   *
   * @default 10000
   */
  readonly heartbeatMs?: Duration | undefined
}

/** The defaults of PoolListenOptions. */
export const defaultListen = { heartbeatMs: 10_000 } as const

/** The defaults of PoolLockOptions. */
export const defaultPoolLocks = { maxConnections: 4, heartbeatMs: 5_000, selfTest: true } as const

/** The options of a pool, checked, with every duration in milliseconds. */
export interface ResolvedPoolOptions {
  /** Sizes and times, with their defaults. */
  readonly limits: ResolvedPoolLimits
  /** What is prepared, and which connections are shared. */
  readonly statements: StatementOptions
  /** How to connect, from the fields, the connection string and the environment together. */
  readonly connect: ConnectSettings
  /** Replicas and what has to do with them, with their defaults. */
  readonly cluster: ResolvedClusterOptions
  /** The replicas, with how to connect to them. */
  readonly replicas: readonly (ResolvedReplica & { readonly connect: ConnectSettings })[]
  /** What was said in fields or in the connection string of everything, without defaults. */
  readonly options: InMs<PoolOptions>
}

/**
 * Checks every option, takes in what the connection string and the environment say, and fills in defaults.
 *
 * @throws InvalidArgumentError at the first that is not what it may be, or is said twice in different ways
 */
export function resolveOptions(given: PoolOptions, environment: NodeJS.ProcessEnv = process.env): ResolvedPoolOptions {
  const values = mergeOptions(checkOptions(given), environment)
  const options = nest(values) as InMs<PoolOptions>
  if (options.settings !== undefined) assertSettings('settings', options.settings)
  const switches = values.get('options')
  if (typeof switches === 'string') assertReadableSwitches('options', switches)
  const limits = { ...defaultPoolLimits, ...pick(options), overload: resolveOverload(options.overload) }
  assertSize({}, limits)
  const cluster = resolveClusterOptions(options)
  const replicas = cluster.replicas.map((replica, index) => {
    return { ...replica, connect: replicaSettings(values, replica, index) }
  })
  return {
    limits,
    options,
    statements: resolveStatements(options),
    connect: connectSettings(values),
    cluster,
    replicas,
  }
}

/** The default of `statementCacheSize`. */
const defaultStatementCacheSize = 256

function resolveStatements(options: InMs<PoolOptions>): StatementOptions {
  const { statementCacheSize, pipelining, resetOnRelease, retryReads = true } = options
  // A session that is to be reset after each use has one user at a time.
  const isShared = pipelining !== false && resetOnRelease !== 'full'
  const rule = new ReadRule(options, 'same-server')
  const onlyReads = (text: string): boolean => rule.allows(text)
  return {
    isRepeatable: retryReads ? onlyReads : undefined,
    onlyReads,
    cacheSize: statementCacheSize ?? defaultStatementCacheSize,
    pipelining: isShared ? { ...defaultPipelining, ...withoutUndefined(pipelining ?? {}) } : undefined,
  }
}

function resolveOverload(given: InMs<PoolOptions>['overload']): ResolvedOverload | false {
  if (given === false) return false
  const overload: ResolvedOverload = { ...defaultOverload, ...withoutUndefined(given ?? {}) }
  if (overload.intervalMs < overload.targetMs) {
    const allowed = `a finite number of milliseconds, targetMs (${overload.targetMs}) or more`
    throw new InvalidArgumentError('overload.intervalMs', String(overload.intervalMs), allowed)
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
 * @throws InvalidArgumentError when they are not what they may be
 */
export function assertSize(size: PoolSize, now: { readonly max: number; readonly min: number }): void {
  const { max = now.max, min = now.min } = size
  for (const [name, value] of Object.entries({ max, min })) {
    const kind = optionTable[name]
    if (kind !== undefined) acceptValue(name, kind, value)
  }
  if (min > max) throw new InvalidArgumentError('min', String(min), `a whole number from 0 to max (${max})`)
}

/** The same object without the fields that are undefined, so that they do not hide a default. */
export function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
