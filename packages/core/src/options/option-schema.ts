import { sslModes } from '../connection/connect/tls.js'
import { longestServerMs } from '../connection/runtime-settings.js'
import { millisecondsOf } from '../deadline/duration.js'
import { isFields } from '../errors/known-options.js'
import { Budget } from '../resource-pool/budget.js'
import { resetModes } from '../server/reset.js'
import { dbNameAllowed, isDbName } from '../sql/quote.js'

/** What one option may be, and how it is read from a URL or the environment. */
export interface OptionKind {
  /** What is allowed, for messages: `a whole number, 1 or more`. */
  readonly allowed: string
  /** The value in the form in which it is used; undefined when it is not allowed. */
  accept(value: unknown): unknown
  /** The value that a text in a URL stands for, to be accepted or not; absent where no text can say it. */
  readonly fromText?: (text: string) => unknown
  /** A group of options, which have entries of their own. */
  readonly isGroup?: boolean
  /** Never shown, whatever is wrong with it. */
  readonly isSecret?: boolean
}

/** The bounds of a number. */
export interface Bounds {
  /** The least that is allowed. @default 0 */
  readonly least?: number
  /** The value must be greater than this one, in place of `least`. @default undefined */
  readonly above?: number
  /** The most that is allowed. @default none */
  readonly most?: number
  /** Whether `Infinity` is allowed, and what it says: `no bound`. @default false */
  readonly infinity?: string
}

function inBounds(value: unknown, { least = 0, above, most, infinity }: Bounds): value is number {
  if (typeof value !== 'number' || Number.isNaN(value)) return false
  if (value === Number.POSITIVE_INFINITY) return infinity !== undefined
  if (above !== undefined ? value <= above : value < least) return false
  return most === undefined || value <= most
}

function boundsText({ least = 0, above, most }: Bounds): string {
  if (above !== undefined) return ` above ${above}`
  return most === undefined ? `, ${least} or more` : ` from ${least} to ${most}`
}

function infinityText({ infinity }: Bounds): string {
  return infinity === undefined ? '' : `; Infinity for ${infinity}`
}

function numberFromText(text: string): unknown {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  return /^infinity$/i.test(text) ? Number.POSITIVE_INFINITY : text
}

/** A number of milliseconds, or a text with a unit. */
export function duration(bounds: Bounds = {}): OptionKind {
  const finite = bounds.infinity === undefined ? 'finite ' : ''
  return {
    allowed: `a ${finite}number of milliseconds${boundsText(bounds)}, or a text such as '500ms', '15s', '15m', '1h'${infinityText(bounds)}`,
    accept(value) {
      const ms = typeof value === 'string' ? millisecondsOf(value) : value
      return inBounds(ms, bounds) ? ms : undefined
    },
    fromText: numberFromText,
  }
}

/** A whole number. */
export function count(bounds: Bounds = {}): OptionKind {
  return {
    allowed: `a whole number${boundsText(bounds)}${infinityText(bounds)}`,
    accept: (value) =>
      inBounds(value, bounds) && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY)
        ? value
        : undefined,
    fromText: numberFromText,
  }
}

/** A number with fractions. */
export function amount(bounds: Bounds = {}): OptionKind {
  return {
    allowed: `a number${boundsText(bounds)}${infinityText(bounds)}`,
    accept: (value) => (inBounds(value, bounds) ? value : undefined),
    fromText: numberFromText,
  }
}

const booleanTexts: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  yes: true,
  '1': true,
  false: false,
  off: false,
  no: false,
  '0': false,
}

/** `true` or `false`; in a URL also on, off, yes, no, 1 and 0. */
export function flag(): OptionKind {
  return {
    allowed: 'a boolean, true or false',
    accept: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: (text) => booleanTexts[text] ?? text,
  }
}

/** A text that is not empty, without the zero byte that PostgreSQL cannot take. */
export function text(): OptionKind {
  return {
    allowed: 'a text of at least one character',
    accept: (value) => (typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined),
    fromText: (given) => given,
  }
}

/**
 * The name of something in a database. A longer one, or one with half a surrogate pair, would arrive as that of another:
 * the server cuts off what a client logs in with, too.
 */
export function dbName(): OptionKind {
  return {
    allowed: dbNameAllowed,
    accept: (value) => (isDbName(value) ? value : undefined),
    fromText: (given) => given,
  }
}

/** One of a few texts. */
export function choice(...values: readonly string[]): OptionKind {
  return {
    allowed: `one of ${values.map((value) => `'${value}'`).join(', ')}`,
    accept: (value) => (values.includes(value as string) ? value : undefined),
    fromText: (given) => given,
  }
}

/** One or several, separated by commas or in an array, each as `one` has it; used as an array. */
export function list(one: OptionKind): OptionKind {
  const acceptAll = (values: readonly unknown[]): unknown => {
    const accepted = values.map((value) => one.accept(value))
    return accepted.length === 0 || accepted.includes(undefined) ? undefined : accepted
  }
  return {
    allowed: `${one.allowed}, or an array of such`,
    accept(value) {
      if (Array.isArray(value)) return acceptAll(value)
      return acceptAll(typeof value === 'string' ? value.split(',') : [value])
    },
    fromText: (given) => given.split(',').map((part) => one.fromText?.(part)),
  }
}

/** A function. */
export function callback(): OptionKind {
  return { allowed: 'a function', accept: (value) => (typeof value === 'function' ? value : undefined) }
}

/** An object with options of its own, each of which has an entry of its own, `group.option`. */
export function group(): OptionKind {
  return {
    allowed: 'an object with options',
    accept: (value) => (isFields(value) ? value : undefined),
    isGroup: true,
  }
}

/** A group of options, or `false` for off; in a URL `pool_name=off`. */
export function groupOrFalse(): OptionKind {
  const whole = group()
  return {
    ...whole,
    allowed: 'an object with options, or false for off',
    accept: (value) => (value === false ? value : whole.accept(value)),
    fromText: (given) => (booleanTexts[given] === false ? false : given),
  }
}

/** What only a test of its own can tell; no text can say it. */
export function custom(allowed: string, isAllowed: (value: unknown) => boolean): OptionKind {
  return { allowed, accept: (value) => (isAllowed(value) ? value : undefined) }
}

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
  // The pool's sizes and times: resource-pool/limits.ts
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

  // What comes back: server/reset.ts
  resetOnRelease: choice(...resetModes),

  // Sharing: server/server-options.ts
  pipelining: groupOrFalse(),
  'pipelining.maxDepth': count({ least: 1 }),
  'pipelining.maxBytes': count({ least: 1 }),
  'pipelining.slowAfterMs': duration(),
  retryReads: flag(),

  // Connecting: connection/connect/settings.ts
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
