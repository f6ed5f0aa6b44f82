import type { Duration, InMs } from '../deadline/duration.js'
import { fieldNames, isFields } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { ReadRuleOptions } from '../sql/read-only.js'

/** A server that follows the primary. */
export interface ReplicaOptions {
  /** Where it is: `postgres://user:password@host:port/database`. All else is as for the primary. */
  readonly connectionString: string
  /** Its share of the reads in comparison with the other replicas, above 0. @default 1 */
  readonly weight?: number | undefined
  /** Most connections to it, `1` or more. @default the pool's `max` */
  readonly max?: number | undefined
  /** Connections to it that are kept open although nobody uses them, `0` to `max`. @default 0 */
  readonly min?: number | undefined
}

/** Replicas, what may be read from them, and what happens when the primary is lost. */
export interface ClusterOptions extends ReadRuleOptions {
  /**
   * Servers that follow the primary: reads inside `pool.read()` may go to them, and one of them is found when it takes the
   * primary's place. Their connections are opened with the first read, beside the pool's `max`. Of several hosts of the pool
   * itself those that are not the primary are replicas, too.
   *
   * @default [] (everything goes to the primary)
   */
  readonly replicas?: readonly (string | ReplicaOptions)[] | undefined
  /**
   * How far a replica may be behind the primary to be read from, in milliseconds; `0` or more. `pool.read()` can ask for
   * another value. Below about 20 hardly any replica can show that it is fresh enough. `Infinity` takes data of any age,
   * also from servers that do not tell how old theirs is, such as those of Amazon Aurora.
   *
   * @default 1000
   */
  readonly maxLagMs?: Duration | undefined
  /**
   * A replica that has no more than this left to replay, in bytes of log, is fresh enough whatever the time says.
   *
   * @default undefined (time alone counts)
   */
  readonly maxLagBytes?: number | undefined
  /**
   * How long a write waits for a server that takes writes when the primary is lost, in milliseconds; at least
   * `acquireTimeoutMs`. A caller's own `timeoutMs` can only shorten it. It holds with `replicas`, and with several hosts of
   * which `targetSessionAttrs` wants the writer; with one host nobody is waited for, and `acquireTimeoutMs` holds.
   *
   * @default 30000
   */
  readonly failoverTimeoutMs?: Duration | undefined
  /**
   * How long a read inside `withCausality` waits for a replica to show what was written, in milliseconds; then it goes to
   * the primary. `0` does not wait.
   *
   * @default 100
   */
  readonly causalityWaitMs?: Duration | undefined
}

/** One replica with its defaults filled in. */
export interface ResolvedReplica {
  readonly connectionString: string
  readonly weight: number
  readonly max: number | undefined
  readonly min: number
}

/** The options with every default filled in. */
export interface ResolvedClusterOptions {
  readonly replicas: readonly ResolvedReplica[]
  readonly maxLagMs: number
  readonly maxLagBytes: number | undefined
  readonly failoverTimeoutMs: number
  readonly causalityWaitMs: number
  readonly readFunctions: readonly string[]
  readonly primaryOnly: readonly string[]
}

/** What stands where the user said nothing, in milliseconds. */
export const defaultClusterTimes = { maxLagMs: 1_000, failoverTimeoutMs: 30_000, causalityWaitMs: 100 } as const

/**
 * Checks the options and fills in the defaults.
 *
 * @throws InvalidArgumentError; never with a URL in it, which may hold a password
 */
export function resolveClusterOptions(options: InMs<ClusterOptions>): ResolvedClusterOptions {
  const { replicas = [], maxLagBytes, readFunctions = [], primaryOnly = [] } = options
  if (!Array.isArray(replicas)) {
    throw new InvalidArgumentError('replicas', `of type ${typeof replicas}`, 'an array of URLs or { connectionString }')
  }
  if (maxLagBytes !== undefined) number('maxLagBytes', maxLagBytes, 'a number of bytes, 0 or more')
  return {
    replicas: replicas.map(resolveReplica),
    maxLagMs: milliseconds('maxLagMs', options.maxLagMs ?? defaultClusterTimes.maxLagMs),
    maxLagBytes,
    failoverTimeoutMs: milliseconds(
      'failoverTimeoutMs',
      options.failoverTimeoutMs ?? defaultClusterTimes.failoverTimeoutMs,
    ),
    causalityWaitMs: milliseconds('causalityWaitMs', options.causalityWaitMs ?? defaultClusterTimes.causalityWaitMs),
    readFunctions: names('readFunctions', readFunctions),
    primaryOnly: names('primaryOnly', primaryOnly),
  }
}

/** @throws InvalidArgumentError when it is no duration */
export function milliseconds(option: string, value: number): number {
  return number(option, value, 'a number of milliseconds, 0 or more')
}

function number(option: string, value: number, allowed: string): number {
  if (!(typeof value === 'number' && value >= 0)) throw new InvalidArgumentError(option, String(value), allowed)
  return value
}

function resolveReplica(given: string | ReplicaOptions, index: number): ResolvedReplica {
  const option = `replicas[${index}]`
  const replica = typeof given === 'string' ? { connectionString: given } : given
  if (!isFields(replica)) {
    throw new InvalidArgumentError(option, `of type ${typeof given}`, 'a URL or { connectionString, weight, max, min }')
  }
  const known = ['connectionString', 'weight', 'max', 'min']
  const stray = fieldNames(replica).find((name) => !known.includes(name))
  if (stray !== undefined) throw new InvalidArgumentError(`${option}.${stray}`, 'not an option', known.join(', '))
  const { connectionString, weight = 1, max, min = 0 } = replica
  if (typeof connectionString !== 'string' || !/^postgres(ql)?:\/\//.test(connectionString)) {
    const shown =
      typeof connectionString === 'string' ? 'not a URL of PostgreSQL' : `of type ${typeof connectionString}`
    throw new InvalidArgumentError(`${option}.connectionString`, shown, 'postgres://user:password@host:port/database')
  }
  if (!(typeof weight === 'number' && Number.isFinite(weight) && weight > 0)) {
    throw new InvalidArgumentError(`${option}.weight`, String(weight), 'a finite number above 0')
  }
  if (max !== undefined && !(Number.isInteger(max) && max >= 1)) {
    throw new InvalidArgumentError(`${option}.max`, String(max), 'a whole number, 1 or more')
  }
  if (!(Number.isInteger(min) && min >= 0 && min <= (max ?? Number.MAX_SAFE_INTEGER))) {
    throw new InvalidArgumentError(`${option}.min`, String(min), 'a whole number from 0 to max')
  }
  return { connectionString, weight, max, min }
}

function names(option: string, values: readonly string[]): readonly string[] {
  if (!Array.isArray(values) || values.some((value) => typeof value !== 'string' || value === '')) {
    throw new InvalidArgumentError(option, JSON.stringify(values) ?? String(values), 'an array of names')
  }
  return values
}
