import { isFields } from './errors/known-options.js'
import { resetModes } from './host/hygiene.js'
import {
  amount,
  callback,
  choice,
  count,
  custom,
  dbName,
  duration,
  flag,
  group,
  groupOrFalse,
  list,
  type OptionKind,
  text,
} from './option-kinds.js'
import { Budget } from './pool/budget.js'
import { longestServerMs } from './wire/runtime-settings.js'
import { sslModes } from './wire/tls-settings.js'

const defaultPort = 5_432

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Also as text, as it comes from the environment. In a list of a URL one may be left out, `1,,3`: the default one. */
function port(): OptionKind {
  const number = count({ least: 1, most: 65_535 })
  return {
    ...number,
    accept: (given) => number.accept(typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given),
    fromText: (given) => (given === '' ? defaultPort : number.fromText?.(given)),
  }
}

/** `pg` takes two of these as text. */
function ssl(): OptionKind {
  const texts: readonly unknown[] = [...sslModes, 'no-verify']
  return {
    allowed: `true, false, one of ${texts.join(', ')}, or an object for tls.connect`,
    accept(value) {
      if (value === 'true') return true
      return typeof value === 'boolean' || texts.includes(value) || isFields(value) ? value : undefined
    },
  }
}

/**
 * Every option of a pool, by its path: what it may be. A new option is one line here, and its field with its
 * documentation in the interface of its concept. Its name in URLs follows from the path: `locks.heartbeatMs` is
 * `pool_locks_heartbeat`. Defaults are with the concept, not here.
 */
export const optionTable: Readonly<Record<string, OptionKind>> = {
  // The pool's sizes and times: pool/pool-limits.ts
  max: count({ least: 1 }),
  min: count(),
  maxWaiting: count({ infinity: 'no bound' }),
  acquireTimeoutMs: duration({ infinity: 'no bound' }),
  idleTimeoutMs: duration({ infinity: 'never' }),
  maxLifetimeMs: duration({ above: 0, infinity: 'no end' }),
  maxUses: count({ infinity: 'no bound' }),
  validateAfterIdleMs: duration({ infinity: 'never' }),
  leakDetectionMs: duration(),
  overload: groupOrFalse(),
  'overload.targetMs': duration({ above: 0 }),
  'overload.intervalMs': duration({ above: 0 }),

  // What comes back: host/hygiene.ts
  resetOnRelease: choice(...resetModes),

  // Sharing: host/lane-options.ts
  lanes: groupOrFalse(),
  'lanes.maxDepth': count({ least: 1 }),
  'lanes.maxBytes': count({ least: 1 }),
  'lanes.slowAfterMs': duration(),
  retryReads: flag(),

  // Connecting: wire/connect-options.ts
  connectionString: { ...text(), isSecret: true },
  host: list(text()),
  port: list(port()),
  user: dbName(),
  password: {
    allowed: 'a text, or a function that gives one or a promise of one',
    accept: (value) =>
      (typeof value === 'string' && !value.includes('\0')) || typeof value === 'function' ? value : undefined,
    fromText: (given) => given,
    isSecret: true,
  },
  database: dbName(),
  ssl: ssl(),
  sslNegotiation: choice('postgres', 'direct'),
  channelBinding: choice('disable', 'prefer', 'require'),
  targetSessionAttrs: choice('any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'),
  loadBalanceHosts: choice('disable', 'random'),
  types: custom("{ int8: 'bigint', ... }, or an object with a function getTypeParser", isObject),
  connectTimeoutMs: duration(),
  keepAlive: flag(),
  // Systems count it in seconds, up to 32767, and leave it at their own when it is more.
  keepAliveInitialDelayMs: duration({ most: 32_767_000 }),
  statementTimeoutMs: duration({ most: longestServerMs }),
  idleInTransactionTimeoutMs: duration({ most: longestServerMs }),
  applicationName: text(),
  statementCacheSize: count({ most: 10_000 }),
  settings: custom('an object of runtime parameters: { name: value }', isFields),

  // Replicas: cluster/cluster-options.ts, which checks each of them
  replicas: { ...custom('an array of URLs or { connectionString, weight, max, min }', Array.isArray), isSecret: true },
  maxLagMs: duration({ infinity: 'no bound' }),
  maxLagBytes: amount({ infinity: 'no bound' }),
  failoverTimeoutMs: duration({ infinity: 'no bound' }),
  causalityWaitMs: duration({ infinity: 'no bound' }),
  readFunctions: list(text()),
  primaryOnly: list(text()),
  // What is watched for: watch-options.ts
  slowQueryMs: duration({ infinity: 'none' }),
  breaker: groupOrFalse(),
  'breaker.failureRate': amount(),
  'breaker.slowRate': amount(),
  'breaker.slowAfterMs': duration({ above: 0, infinity: 'never' }),
  'breaker.minCalls': count({ least: 1 }),
  'breaker.windowMs': duration({ above: 0 }),
  'breaker.windowCalls': count({ least: 1 }),
  'breaker.halfOpenCalls': count({ least: 1 }),
  'breaker.openMs': duration({ above: 0 }),
  'breaker.maxOpenMs': duration({ above: 0 }),

  // The whole: pool-options.ts
  name: text(),
  budget: custom('what createBudget() gives', (value) => value instanceof Budget),
  onConnect: callback(),
  onLeak: callback(),
  environment: group(),
  'environment.clock': custom('a Clock', isObject),
  'environment.random': callback(),
  locks: group(),
  'locks.maxConnections': count({ least: 1 }),
  'locks.heartbeatMs': duration({ above: 0 }),
  'locks.selfTest': flag(),
  listen: group(),
  'listen.heartbeatMs': duration({ above: 0 }),
  retryBudget: group(),
  'retryBudget.reserve': amount({ infinity: 'no bound' }),
  'retryBudget.perSuccess': amount({ infinity: 'no bound' }),
}
