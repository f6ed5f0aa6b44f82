import type { ChannelBinding, TargetSessionAttrs } from '../connection/connect/settings.js'
import type { TypeParsers } from '../connection/pg-internals.js'
import { longestServerMs } from '../connection/runtime-settings.js'
import type { TypeChoices } from '../connection/type-parsers.js'
import type { Clock, Random } from '../deadline/clock.js'
import { isFields } from '../errors/known-options.js'
import type { OnConnect } from '../pg-compat/new-connection.js'
import type { ResolvedBreakerOptions } from '../resilience/circuit-breaker.js'
import type { ResolvedOverload } from '../resilience/codel.js'
import type { RetryBudgetLimits } from '../resilience/retry.js'
import { Budget } from '../resource-pool/budget.js'
import type { LeakReport } from '../resource-pool/resource.js'
import { type ResetMode, resetModes } from '../server/reset.js'
import type { ResolvedPipeliningOptions } from '../server/server-options.js'
import {
  amount,
  byPath,
  callback,
  choice,
  count,
  custom,
  dbName,
  defaultPort,
  duration,
  flag,
  group,
  groupOrFalse,
  isObject,
  list,
  type Named,
  type OptionFields,
  type OptionKind,
  type OptionsOf,
  password,
  port,
  type ResolvedOf,
  replicaUrl,
  secret,
  ssl,
  text,
  withDefault,
} from './option-kinds.js'

// Every option of a pool: its name, what it may be, its default and its documentation. All else follows from here: the
// types, the checks and what their errors say, the names in URLs (`locks.heartbeatMs` is `pool_locks_heartbeat`),
// docs/options.md and the table of the README. `@default` is written by `docs:options` where the default is a value.

/** How to connect: connection/connect/ */
export const connectFields = {
  /**
   * `postgres://user:password@host1:5432,host2:5432/database?target_session_attrs=read-write&pool_max=20`, or
   * `host=... dbname=...`. It may name every option that a string can say. What is said both here and in a field must be
   * the same; what is said in neither comes from the environment: PGHOST, PGPORT, PGUSER, ...
   *
   * @default undefined (the fields, then the environment)
   */
  connectionString: secret(text()),
  /**
   * Host name, address, or the folder of a Unix socket; several, in an array or separated by commas, are tried in order,
   * each new one 250 ms after the last or as soon as that has failed.
   *
   * @default PGHOST or 'localhost'
   */
  host: list(text(), ['localhost']),
  /** 1 to 65535, also as text; one for all hosts, or one for each. @default PGPORT or 5432 */
  port: list(port(), [defaultPort]),
  /** Who logs in. @default PGUSER or the name of the operating system's user */
  user: dbName(),
  /**
   * A function is called for each new connection, so that tokens may rotate; its time counts as time to connect, and what
   * it throws is the `cause` of the error that callers get.
   *
   * @default PGPASSWORD, or the line that fits in the password file: PGPASSFILE or ~/.pgpass
   */
  password: password(),
  /** The database. @default PGDATABASE or the user's name */
  database: dbName(),
  /**
   * TLS. `true` is `'verify-full'`: the server's certificate and its host name are verified. libpq's other modes verify
   * less, `'no-verify'` nothing; `'allow'` and `'prefer'` may end without TLS. An object is handed to `tls.connect`, and verifies unless it says
   * otherwise. A Unix socket has no TLS.
   *
   * @default sslmode of the URL, PGSSLMODE, or false
   */
  ssl: ssl(),
  /**
   * `'direct'` begins TLS at once, a round trip earlier: PostgreSQL 17 or newer, and `ssl` must be `'require'` or
   * stronger. @default PGSSLNEGOTIATION or 'postgres'
   */
  sslNegotiation: choice(['postgres', 'direct'], 'postgres'),
  /**
   * Whether the login is bound to the TLS connection, so that nobody in the middle can pass it on: `'require'` refuses
   * a server that cannot. Needs a password, scram-sha-256 and TLS. @default PGCHANNELBINDING or 'disable'
   */
  channelBinding: choice<ChannelBinding>(['disable', 'prefer', 'require'], 'disable'),
  /**
   * What a connection must be like to be used, with several hosts: which of them takes writes, or does not. A connection
   * that is not so any more, because its server was promoted, is replaced when it comes back. With `'read-write'` and
   * `'primary'` several hosts are a cluster, as with `replicas`: a new primary is waited for, and an old one not written to.
   *
   * @default PGTARGETSESSIONATTRS or 'any'
   */
  targetSessionAttrs: choice<TargetSessionAttrs>(
    ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'],
    'any',
  ),
  /** `'random'` tries several hosts in a new order for each connection. @default PGLOADBALANCEHOSTS or 'disable' */
  loadBalanceHosts: choice(['disable', 'random'], 'disable'),
  /**
   * As what values come back: `{ int8: 'bigint', date: 'string' }`, or an object with `getTypeParser` as `pg` takes it.
   *
   * @default undefined (as `pg` has them: int8 and numeric as strings, dates and timestamps as Date, json parsed)
   */
  types: custom<TypeParsers | TypeChoices>(
    "{ int8: 'bigint', ... }, or an object with a function getTypeParser",
    isObject,
  ),
  /** How long opening one connection may take, in milliseconds, authentication included; each of several hosts has as much. `0` for no bound. @default PGCONNECT_TIMEOUT or 5000 */
  connectTimeoutMs: duration({ default: 5_000 }),
  /** TCP keepalive, so that a dead peer is noticed on an idle connection. @default true */
  keepAlive: flag(true),
  // Systems count it in seconds, up to 32767, and leave it at their own when it is more.
  /** Silence before the first keepalive probe, in milliseconds. @default 10000 */
  keepAliveInitialDelayMs: duration({ most: 32_767_000, default: 10_000 }),
  /**
   * The server stops a statement that runs for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  statementTimeoutMs: duration({ most: longestServerMs }),
  /**
   * The server ends a session that idles inside a transaction for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  idleInTransactionTimeoutMs: duration({ most: longestServerMs }),
  /** Shown in `pg_stat_activity.application_name`. @default PGAPPNAME or the pool's name */
  applicationName: text(),
  /** Runtime parameters for every connection: `{ work_mem: '64MB' }`. Sent as it connects, at no extra round trip. */
  settings: custom<Readonly<Record<string, string | number | boolean>>>(
    'an object of runtime parameters: { name: value }',
    isFields,
  ),
  /**
   * Statements that each connection keeps prepared on the server: those that come again are parsed once. The one used the
   * longest time ago makes room for the next. `0` prepares nothing, which a pooler needs that lends sessions by the
   * transaction and does not track prepared statements.
   *
   * @default 256
   */
  statementCacheSize: count({ most: 10_000, default: 256 }),
} as const satisfies OptionFields

/** Where and how to connect: `pg`'s own names, so that a configuration for `pg.Pool` moves over. */
export interface ConnectOptions extends OptionsOf<typeof connectFields>, Named {}

const overloadFields = {
  /**
   * The wait that is fine, above 0. Once the pool is overloaded, a caller that has waited for twice as long is turned
   * away with OverloadedError, and a newer one is served in its place.
   *
   * @default 50
   */
  targetMs: duration({ above: 0, default: 50 }),
  /**
   * What the pool looks back on, and ahead to, before it calls a queue overload; at least `targetMs`. A burst that can
   * be served within this time, and while its callers are willing to wait, is never turned away.
   *
   * @default 2000
   */
  intervalMs: duration({ above: 0, notBelow: 'targetMs', default: 2_000 }),
} as const satisfies OptionFields

/** When the pool takes a queue for overload, and turns callers away. */
export interface OverloadOptions extends OptionsOf<typeof overloadFields>, Named {}

/** Sizes and times: resource-pool/ */
export const limitFields = {
  /**
   * Most connections open at the same time, `1` or more. A little above the number of cores of the server is often
   * best: https://wiki.postgresql.org/wiki/Number_Of_Database_Connections Sessions beside the pool, such as that of
   * `listen`, do not count: `stats().beside` has them.
   *
   * @default 10
   */
  max: count({ least: 1, default: 10 }),
  /**
   * Connections kept open although nobody uses them, opened in parallel at once and refilled in the background; `0`
   * to `max`.
   *
   * @default 0
   */
  min: count({ notAbove: 'max', default: 0 }),
  /**
   * Most callers that may wait for a connection; one more is rejected at once with QueueFullError. `Infinity` for no
   * bound.
   *
   * @default Infinity
   */
  maxWaiting: count({ infinity: 'no bound', default: Number.POSITIVE_INFINITY }),
  /**
   * How long a caller waits for a connection, over all of queueing, connecting and validating. A caller's own
   * `timeoutMs` can only shorten it.
   *
   * @default 5000
   */
  acquireTimeoutMs: duration({ infinity: 'no bound', default: 5_000 }),
  /**
   * An idle connection above `min` is closed after this time. `Infinity` to keep it.
   *
   * @default 600000 (10 minutes)
   */
  idleTimeoutMs: duration({ infinity: 'never', default: 600_000 }),
  /**
   * A connection is replaced when it is this old, up to 10 % earlier or later so that not all end at once; never
   * while it is in use. `Infinity` for no end.
   *
   * @default 3600000 (1 hour)
   */
  maxLifetimeMs: duration({ above: 0, infinity: 'no end', default: 3_600_000 }),
  /**
   * A connection is replaced after it was handed out this often; `0` or `Infinity` for no bound.
   *
   * @default 0
   */
  maxUses: count({ infinity: 'no bound', default: 0 }),
  /**
   * A connection that was idle for longer than this is asked for a sign of life before it is handed out; when it gives
   * none the next one is tried, within the same deadline. `Infinity` never asks.
   *
   * @default 500
   */
  validateAfterIdleMs: duration({ infinity: 'never', default: 500 }),
  /**
   * Warn about a connection that is held for longer than this, with the stack of its acquisition; `0` is off. The
   * stack costs some microseconds for each acquisition.
   *
   * @default 0
   */
  leakDetectionMs: duration({ default: 0 }),
  /**
   * When callers come faster than they can be served, those that have waited for too long are turned away with
   * OverloadedError, so that the others are served in time; `false` lets everybody wait until its own time is over.
   *
   * @default { targetMs: 50, intervalMs: 2000 }
   */
  overload: groupOrFalse<OverloadOptions, ResolvedOverload>(overloadFields),
} as const satisfies OptionFields

/** Sizes and times of the pool. */
export interface PoolLimits extends OptionsOf<typeof limitFields>, Named {}

const resetFields = {
  /**
   * What is done to a connection that comes back before the next one gets it. Nobody waits for it, but the connection is
   * not free in the meantime: `'full'` costs a round trip for each use, for single statements too. With `'off'` and
   * `'rollback'` what was SET, LISTENed to, locked for the session or put into temporary tables stays for the next user.
   * Whatever is chosen, an open transaction never reaches the next user, nor does a client_encoding
   * in which text would be misread.
   *
   * @default 'rollback'
   */
  resetOnRelease: choice<ResetMode>(resetModes, 'rollback'),
} as const satisfies OptionFields

/** What the user may say of connections that come back. */
export interface HygieneOptions extends OptionsOf<typeof resetFields>, Named {}

const pipeliningFields = {
  /**
   * Statements that one connection may have under way, `1` or more. The more, the less it has to wait for the network;
   * the longer may a statement have to wait for others.
   *
   * @default 16
   */
  maxDepth: count({ least: 1, default: 16 }),
  /**
   * Bytes that one connection may have under way before it takes another statement, `1` or more. A statement that is
   * larger is sent all the same.
   *
   * @default 1048576 (1 MiB)
   */
  maxBytes: count({ least: 1, default: 1_048_576 }),
  /**
   * Milliseconds after which a statement counts as slow, on top of the shortest round trip seen: nothing more is sent
   * after it, and its SQL text gets a connection to itself for a while. `0` or more.
   *
   * @default 20
   */
  slowAfterMs: duration({ default: 20 }),
} as const satisfies OptionFields

/** How connections are shared while all are in use. */
export interface PipeliningOptions extends OptionsOf<typeof pipeliningFields>, Named {}

const readRuleFields = {
  /**
   * Functions beside PostgreSQL's own that change nothing, so that a statement that calls them may go to a replica. In
   * small letters unless they are created with quotes; with the schema, when statements name it.
   *
   * @default []
   */
  readFunctions: list(text(), []),
  /**
   * Names of functions that are to keep a statement on the primary, although PostgreSQL has a harmless one of that name,
   * and of tables and views that do (a view may call anything).
   *
   * @default []
   */
  primaryOnly: list(text(), []),
} as const satisfies OptionFields

/** What a pool's own functions are to the read rule. */
export interface ReadRuleOptions extends OptionsOf<typeof readRuleFields>, Named {}

/** One replica. */
export const replicaFields = {
  /** Where it is: `postgres://user:password@host:port/database`. All else is as for the primary. */
  connectionString: replicaUrl(),
  /** Its share of the reads in comparison with the other replicas, above 0. @default 1 */
  weight: amount({ above: 0, default: 1 }),
  /** Most connections to it, `1` or more. @default the pool's `max` */
  max: count({ least: 1 }),
  /** Connections to it that are kept open although nobody uses them, `0` to `max`. @default 0 */
  min: count({ notAbove: 'max', default: 0 }),
} as const satisfies OptionFields

/** A server that follows the primary. */
export interface ReplicaOptions extends Omit<OptionsOf<typeof replicaFields>, 'connectionString'> {
  /** Where it is: `postgres://user:password@host:port/database`. All else is as for the primary. */
  readonly connectionString: string
}

/** Replicas: cluster/ */
export const clusterFields = {
  ...readRuleFields,
  /**
   * Servers that follow the primary: reads inside `pool.read()` may go to them, and one of them is found when it takes the
   * primary's place. Their connections are opened with the first read, beside the pool's `max`. Of several hosts of the pool
   * itself those that are not the primary are replicas, too.
   *
   * @default [] (everything goes to the primary)
   */
  replicas: secret(
    withDefault(
      custom<readonly (string | ReplicaOptions)[]>(
        'an array of URLs or { connectionString, weight, max, min }',
        Array.isArray,
      ),
      [],
    ),
  ),
  /**
   * How far a replica may be behind the primary to be read from, in milliseconds; `0` or more. `pool.read()` can ask for
   * another value. Below about 20 hardly any replica can show that it is fresh enough. `Infinity` takes data of any age,
   * also from servers that do not report how old theirs is, such as those of Amazon Aurora.
   *
   * @default 1000
   */
  maxLagMs: duration({ infinity: 'no bound', default: 1_000 }),
  /**
   * A replica that has no more than this left to replay, in bytes of log, is fresh enough whatever the time says.
   *
   * @default undefined (time alone counts)
   */
  maxLagBytes: amount({ infinity: 'no bound' }),
  /**
   * How long a write waits for a server that takes writes when the primary is lost, in milliseconds; at least
   * `acquireTimeoutMs`. A caller's own `timeoutMs` can only shorten it. It holds with `replicas`, and with several hosts of
   * which `targetSessionAttrs` wants the writer; with one host nobody is waited for, and `acquireTimeoutMs` holds.
   *
   * @default 30000
   */
  failoverTimeoutMs: duration({ infinity: 'no bound', default: 30_000 }),
  /**
   * How long a read inside `withCausality` waits for a replica to show what was written, in milliseconds; then it goes to
   * the primary. `0` does not wait.
   *
   * @default 100
   */
  causalityWaitMs: duration({ infinity: 'no bound', default: 100 }),
} as const satisfies OptionFields

/** Replicas, what may be read from them, and what happens when the primary is lost. */
export interface ClusterOptions extends OptionsOf<typeof clusterFields>, Named {}

/** Of a breaker: the pool has one for each server, and createBreaker makes others. */
export const breakerFields = {
  /** Opens when this share of the calls in the window failed; above 0, at most 1. @default 0.5 */
  failureRate: amount({ above: 0, most: 1, default: 0.5 }),
  /** Opens when this share of the calls in the window was slow or failed; above 0, at most 1. @default 0.8 */
  slowRate: amount({ above: 0, most: 1, default: 0.8 }),
  /**
   * A call that took longer is slow, in milliseconds; so is one that a deadline ended. `Infinity` leaves only those.
   *
   * @default 30000
   */
  slowAfterMs: duration({ above: 0, infinity: 'never', default: 30_000 }),
  /** With fewer calls in the window it does not judge; `1` or more. @default 20 */
  minCalls: count({ least: 1, default: 20 }),
  /** How far back the window reaches, in milliseconds, above 0. @default 10000 */
  windowMs: duration({ above: 0, default: 10_000 }),
  /**
   * Judge by so many last calls, however old, in place of a time: `minCalls` or more.
   *
   * @default undefined (by `windowMs`)
   */
  windowCalls: count({ least: 1, notBelow: 'minCalls' }),
  /** Calls that are let through to try while half-open, `1` or more; the rest is rejected. @default 3 */
  halfOpenCalls: count({ least: 1, default: 3 }),
  /**
   * How long it stays open the first time, in milliseconds, above 0; give or take a fifth. Twice as long each time that
   * the probes fail.
   *
   * @default 1000
   */
  openMs: duration({ above: 0, default: 1_000 }),
  /**
   * The longest that it stays open, in milliseconds, `openMs` or more. Probes that have not come back within this time
   * count as failed.
   *
   * @default 30000
   */
  maxOpenMs: duration({ above: 0, notBelow: 'openMs', default: 30_000 }),
} as const satisfies OptionFields

/** When a circuit breaker opens, and how it comes back. */
export interface BreakerOptions extends OptionsOf<typeof breakerFields>, Named {}

const watchFields = {
  /**
   * A statement that takes longer than this is counted as slow, and reported as `slow-query`; in milliseconds. `Infinity`
   * for none.
   *
   * @default 100
   */
  slowQueryMs: duration({ infinity: 'none', default: 100 }),
  /**
   * When the pool stops asking a server that fails, so that callers are answered at once in place of waiting for nothing;
   * `false` for never. One breaker for each server.
   *
   * @default { failureRate: 0.5, slowRate: 0.8, slowAfterMs: 30000, minCalls: 20, windowMs: 10000, halfOpenCalls: 3,
   * openMs: 1000, maxOpenMs: 30000 }
   */
  breaker: groupOrFalse<BreakerOptions, ResolvedBreakerOptions>(breakerFields),
} as const satisfies OptionFields

/** What a pool watches for. */
export interface WatchOptions extends OptionsOf<typeof watchFields>, Named {}

const lockFields = {
  /**
   * Connections that locks share, `1` or more: any number of locks that were free when they were asked for are held by
   * these few. A lock that must be waited for takes a connection of its own.
   *
   * @default 4
   */
  maxConnections: count({ least: 1, default: 4 }),
  /**
   * How often a connection with locks asks the server whether it still has them, in milliseconds; the answer may take as
   * long again, so that a silent partition is noticed within twice this time. A connection that ends is noticed at once.
   *
   * @default 5000
   */
  heartbeatMs: duration({ above: 0, default: 5_000 }),
  /**
   * Whether to find out, before the first lock, that session locks work on this way to the server.
   *
   * @default true
   */
  selfTest: flag(true),
} as const satisfies OptionFields

/** How the session locks of a pool are held. */
export interface PoolLockOptions extends OptionsOf<typeof lockFields>, Named {}

const listenFields = {
  /**
   * How often it is asked for a sign of life, in milliseconds; the answer may take as long again, so that a silent
   * partition is noticed within twice this time. A session that ends is noticed at once.
   *
   * @default 10000
   */
  heartbeatMs: duration({ above: 0, default: 10_000 }),
} as const satisfies OptionFields

/** How the session is kept that `listen` uses, beside the connections of the pool. */
export interface PoolListenOptions extends OptionsOf<typeof listenFields>, Named {}

const retryBudgetFields = {
  /**
   * Retries that may be made out of nothing, before any success paid in, and the most that successes can fill it up
   * to again; `0` never retries.
   *
   * @default 100
   */
  reserve: amount({ infinity: 'no bound', default: 100 }),
  /**
   * Retries that each success pays for.
   *
   * @default 1
   */
  perSuccess: amount({ infinity: 'no bound', default: 1 }),
} as const satisfies OptionFields

/** Bounds on what retries may add to the load while everything fails. */
export interface RetryBudgetOptions extends OptionsOf<typeof retryBudgetFields>, Named {}

/** Time and chance, for tests. */
const environmentFields = {
  /** Tells the time, and sets timers. @default the system's */
  clock: custom<Clock>('a Clock', isObject),
  /** Gives numbers from 0 to below 1. @default the system's */
  random: callback<Random>(),
} as const satisfies OptionFields

/** Every option of a pool. */
export const poolFields = {
  ...connectFields,
  ...limitFields,
  ...resetFields,
  ...clusterFields,
  ...watchFields,
  /**
   * A budget that this pool shares with others, made by `createBudget`: the pool opens no connection that the budget
   * has no place for, and `max` is what it may have at most of it. Its `min` are never taken from it.
   *
   * @default undefined (none)
   */
  budget: custom<Budget>('what createBudget() gives', (value) => value instanceof Budget),
  /** Names the pool: in `application_name` unless one is set, and in messages. @default 'lifeguard' */
  name: text('lifeguard'),
  /** How advisory locks are held. @default { maxConnections: 4, heartbeatMs: 5000, selfTest: true } */
  locks: group<PoolLockOptions, ResolvedOf<typeof lockFields>>(lockFields),
  /**
   * How `query` shares connections while all are in use: statements outside of transactions are then sent on a connection
   * before the answer to the one before has come. `false` never shares, which a pooler in between may need; neither does
   * a pool with `resetOnRelease: 'full'`.
   *
   * @default { maxDepth: 16, maxBytes: 1048576, slowAfterMs: 20 }
   */
  pipelining: groupOrFalse<PipeliningOptions, ResolvedPipeliningOptions>(pipeliningFields),
  /**
   * Sends a single statement that only reads once more, on another connection and within its own deadline, when its
   * connection is lost before the answer: a killed backend or a restarted server then costs reads nothing. Only outside
   * of transactions, and never what may write; what counts as a read is what may go to a replica, see `readFunctions`.
   *
   * @default true
   */
  retryReads: flag(true),
  /** How the session is kept that `listen` uses. @default { heartbeatMs: 10000 } */
  listen: group<PoolListenOptions, ResolvedOf<typeof listenFields>>(listenFields),
  /** Bounds on what retries may add to the load while everything fails. @default { reserve: 100, perSuccess: 1 } */
  retryBudget: group<RetryBudgetOptions, RetryBudgetLimits>(retryBudgetFields),
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
  onConnect: callback<OnConnect>(),
  /**
   * Called when a connection was held for longer than `leakDetectionMs`, and again when it came back after all.
   *
   * @default a warning through `process.emitWarning`
   */
  onLeak: callback<(leak: LeakReport) => void>(),
  /** Time and chance, for tests. @default the system's */
  environment: group<{ readonly clock?: Clock; readonly random?: Random }, ResolvedOf<typeof environmentFields>>(
    environmentFields,
  ),
} as const satisfies OptionFields

/** Everything that can be said of a pool. Durations are numbers of milliseconds, or texts such as '15s'. */
export interface PoolOptions extends OptionsOf<typeof poolFields>, Named {}

/** The options of a pool, checked, with every duration in milliseconds and every default filled in. */
export interface ResolvedOptions extends ResolvedOf<typeof poolFields>, Named {}

/** Every option by its path: `max`, `locks`, `locks.heartbeatMs`. */
export const optionTable: Readonly<Record<string, OptionKind>> = Object.fromEntries(byPath('', poolFields))
