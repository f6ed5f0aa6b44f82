import type { ResolvedClusterOptions, ResolvedReplica } from '../cluster/cluster-options.js'
import type { ConnectSettings } from '../connection/connect/settings.js'
import { assertReadableSwitches, assertSettings } from '../connection/runtime-settings.js'
import type { InMs } from '../deadline/duration.js'
import { isFields } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { PoolSize, ResolvedPoolLimits } from '../resource-pool/limits.js'
import type { StatementOptions } from '../server/server-options.js'
import { ReadRule } from '../sql/read-rule.js'
import { connectSettings, replicaSettings } from './connect-settings.js'
import { isSame, readConnectionString, readEnvironment } from './connection-string.js'
import {
  clusterFields,
  limitFields,
  type PoolOptions,
  poolFields,
  type ReplicaOptions,
  type ResolvedOptions,
  replicaFields,
} from './option-schema.js'
import { acceptValue, checkOptions, nest, type OptionValues, resolveFields } from './validate.js'

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
function mergeOptions(fields: OptionValues, environment: NodeJS.ProcessEnv): OptionValues {
  const values: OptionValues = new Map(fields)
  const connectionString = fields.get('connectionString')
  if (connectionString !== undefined) {
    for (const [path, value] of readConnectionString(connectionString as string)) {
      // The URL's ssl is a string, and the option's is not; what they say together is settled where TLS is.
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

/** The options of a pool, checked, with every duration in milliseconds. */
export interface ResolvedPoolOptions {
  /** All of them, with their defaults. */
  readonly resolved: ResolvedOptions
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
  const options = nest(values)
  if (options['settings'] !== undefined) assertSettings('settings', options['settings'])
  const switches = values.get('options')
  if (typeof switches === 'string') assertReadableSwitches('options', switches)
  const resolved = resolveFields(poolFields, options)
  const cluster = { ...resolveFields(clusterFields, options), replicas: resolved.replicas.map(resolveReplica) }
  return {
    resolved,
    limits: resolveFields(limitFields, options),
    options: options as InMs<PoolOptions>,
    statements: resolveStatements(resolved),
    connect: connectSettings(values),
    cluster,
    replicas: cluster.replicas.map((one, index) => ({ ...one, connect: replicaSettings(values, one, index) })),
  }
}

function resolveStatements(options: ResolvedOptions): StatementOptions {
  const { statementCacheSize, pipelining, resetOnRelease, retryReads } = options
  const rule = new ReadRule(options, 'same-server')
  const onlyReads = (text: string): boolean => rule.allows(text)
  return {
    isRepeatable: retryReads ? onlyReads : undefined,
    onlyReads,
    cacheSize: statementCacheSize,
    // A session that is to be reset after each use has one user at a time.
    pipelining: pipelining === false || resetOnRelease === 'full' ? undefined : pipelining,
  }
}

/** @throws InvalidArgumentError; never with a URL in it, which may hold a password */
function resolveReplica(given: string | ReplicaOptions, index: number): ResolvedReplica {
  const option = `replicas[${index}]`
  const one = typeof given === 'string' ? { connectionString: given } : given
  if (!isFields(one)) {
    throw new InvalidArgumentError(option, `of type ${typeof given}`, 'a URL or { connectionString, weight, max, min }')
  }
  const prefix = `${option}.`
  const values = [...checkOptions(one, replicaFields, prefix)].map(([path, value]) => [
    path.slice(prefix.length),
    value,
  ])
  const resolved = resolveFields(replicaFields, Object.fromEntries(values), prefix)
  const { connectionString } = resolved
  if (connectionString !== undefined) return { ...resolved, connectionString }
  throw new InvalidArgumentError(
    `${prefix}connectionString`,
    'of type undefined',
    replicaFields.connectionString.allowed,
  )
}

/**
 * Checks the new sizes of a pool that has these.
 *
 * @throws InvalidArgumentError when they are not what they may be
 */
export function assertSize(size: PoolSize, now: { readonly max: number; readonly min: number }): void {
  const { max = now.max, min = now.min } = size
  acceptValue('max', limitFields.max, max)
  acceptValue('min', limitFields.min, min)
  resolveFields({ max: limitFields.max, min: limitFields.min }, { max, min })
}

/** The same object without the fields that are undefined, so that they do not hide a default. */
export function withoutUndefined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
