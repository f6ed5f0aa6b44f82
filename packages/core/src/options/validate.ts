import { fieldNames, isFields, nearestName, plainName } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { OptionFields, OptionKind, ResolvedOf } from './option-kinds.js'
import { poolFields } from './option-schema.js'

/** What other pools, drivers and ORMs call something, and what there is for it here. */
interface ForeignName {
  /** Whether it is an option of `pg.Pool` or `pg.Client`. */
  readonly isOfPg: boolean
  /** What to write in its place. A name in braces is an option, which has one name in fields and another in URLs. */
  readonly here: string
}

/** Options of `pg.Pool` and `pg.Client` that have another name or place here, or none. */
const ofPg: Readonly<Record<string, string>> = {
  idleTimeoutMillis: '{idleTimeoutMs}',
  connectionTimeoutMillis: '{acquireTimeoutMs} (for the whole wait) and {connectTimeoutMs} (for one connection)',
  maxLifetimeSeconds: '{maxLifetimeMs}, in milliseconds',
  poolSize: '{max}',
  statement_timeout: '{statementTimeoutMs}',
  idle_in_transaction_session_timeout: '{idleInTransactionTimeoutMs}',
  lock_timeout: "settings: { lock_timeout: '500ms' }, or options=-clock_timeout%3D500ms in a URL",
  query_timeout: '{statementTimeoutMs}, or timeoutMs for one call',
  connect_timeout: '{connectTimeoutMs}, in milliseconds',
  keepAliveInitialDelayMillis: '{keepAliveInitialDelayMs}',
  application_name: '{applicationName}',
  fallback_application_name: '{name}',
  enableChannelBinding: "{channelBinding}: 'prefer' or 'require'",
  allowExitOnIdle: 'nothing: call end() when the work is done',
  options: "settings: { name: 'value' }",
  verify: 'onConnect: what it throws refuses the connection',
  log: "pool.on('query', ...) and the other events, or node:diagnostics_channel",
  Client: 'nothing: connections are made with the pg that is installed; onConnect prepares them',
  Promise: 'nothing: promises are those of the language',
  client_encoding: 'nothing: text is always sent and read as UTF8',
  encoding: 'nothing: text is always sent and read as UTF8',
  binary: 'nothing: values are read as text; types says as what they come back',
  pipeline: '{pipelining}: statements share connections while all are in use',
  stream: 'nothing: the pool makes its sockets itself; host, port and ssl say where to',
  connection: 'connectionString, or host, port, user, password and database',
  isDomainSocket: 'host: the folder of the socket',
  replication: 'nothing: a connection of a pool is for statements; use pg.Client for replication',
  scramMaxIterations: 'nothing: the default of pg counts',
  parseInputDatesAsUTC: 'nothing: set pg.defaults.parseInputDatesAsUTC',
  parseInt8: "types: { int8: 'number' }",
  reapIntervalMillis: 'nothing: what is too old is closed without a clock of its own',
}

/** Names of libpq, Prisma, postgres.js, Knex and of other drivers. */
const ofOthers: Readonly<Record<string, string>> = {
  // libpq
  keepalives_interval: '{keepAliveInitialDelayMs}; Node.js leaves the interval to the system',
  keepalives_count: '{keepAliveInitialDelayMs}; Node.js leaves the count to the system',
  tcp_user_timeout: '{acquireTimeoutMs} and {statementTimeoutMs}; Node.js cannot set it',
  service: 'host, port, dbname and user; service files are not read',
  sslcrl: 'the option ssl: { crl }',
  sslcrldir: 'the option ssl: { crl }',
  require_auth: 'channel_binding=require, which asks for scram-sha-256 over TLS',
  requiressl: 'sslmode=require',
  // Prisma, and its forms of URLs for poolers
  pgbouncer:
    'nothing where PgBouncer tracks prepared statements (1.21 and newer), else {statementCacheSize} of 0; {pipelining} off behind any pooler',
  connection_limit: '{max}',
  pool_timeout: "{acquireTimeoutMs}, with a unit: '10s'",
  socket_timeout: "{statementTimeoutMs}, with a unit: '10s', or timeoutMs for one call",
  sslaccept: "sslmode: accept_invalid_certs is 'require', strict is 'verify-full'",
  sslidentity: 'sslcert and sslkey, two files in PEM form',
  max_idle_connection_lifetime: "{idleTimeoutMs}, with a unit: '5m'",
  max_connection_lifetime: "{maxLifetimeMs}, with a unit: '1h'",
  single_use_connections: '{maxUses} of 1',
  schema:
    "options=-csearch_path%3Dname, or the option settings: { search_path: 'name' }; with Prisma both that, for raw queries, and lifeguardAdapter(pool, { schema: 'name' }), for models",
  search_path: 'options=-csearch_path%3Dname, or the option settings: { search_path }',
  currentSchema: 'options=-csearch_path%3Dname, or the option settings: { search_path }',
  timezone: 'options=-ctimezone%3DUTC, or the option settings: { timezone }',
  sslca: 'sslrootcert',
  supa: 'nothing: leave it out',
  workaround: 'nothing: leave it out',
  // postgres.js, Knex, Sequelize, MySQL and others
  pool_size: '{max}',
  connectionLimit: '{max}',
  maximumPoolSize: '{max}',
  idle_timeout: "{idleTimeoutMs}, with a unit: '20s'",
  max_lifetime: "{maxLifetimeMs}, with a unit: '1h'",
  pool_recycle: "{maxLifetimeMs}, with a unit: '1h'",
  pool_pre_ping: '{validateAfterIdleMs}',
  testOnBorrow: '{validateAfterIdleMs}',
  createTimeoutMillis: '{connectTimeoutMs}',
  prepare: '{statementCacheSize}: 0 prepares nothing',
  prepareThreshold: '{statementCacheSize}: 0 prepares nothing',
  prepared_statements: '{statementCacheSize}: 0 prepares nothing',
  max_pipeline: '{pipelining}: { maxDepth }',
  onnotice: "pool.asPgPool().on('connect', (client) => client.on('notice', ...))",
  afterCreate: 'onConnect',
  queueLimit: '{maxWaiting}',
  username: 'user',
  hostname: 'host',
  database: 'dbname, or the path of the URL',
  db: 'the database: the field database, or the path of the URL',
  dbname: 'the field database, or the path of the URL',
  url: 'connectionString',
  uri: 'connectionString',
  connection_string: 'connectionString',
  sslmode: "ssl: 'require', 'verify-full', ...",
  poolMode: 'nothing for a pooler that lends sessions; else {statementCacheSize} of 0 and {pipelining} off',
}

/** By the name without its case and underscores: one thing has several spellings. */
const byName: ReadonlyMap<string, ForeignName> = new Map([...named(ofOthers, false), ...named(ofPg, true)])

function named(table: Readonly<Record<string, string>>, isOfPg: boolean): [string, ForeignName][] {
  return Object.entries(table).map(([name, here]) => [plainName(name), { isOfPg, here }])
}

/**
 * What there is here for a name that is none here, when that is known.
 *
 * @param nameOf what an option is called where the name was given, by its path
 */
export function foreignName(name: string, nameOf: (path: string) => string): ForeignName | undefined {
  const found = byName.get(plainName(name))
  if (found === undefined) return undefined
  return { ...found, here: found.here.replace(/\{(\w+)\}/g, (_, path: string) => nameOf(path)) }
}

/** Options by their path, in the form in which they are used. */
export type OptionValues = Map<string, unknown>

/**
 * Checks every field of an object of options, groups included, against the schema.
 *
 * @throws InvalidArgumentError at the first that is not what it may be
 */
export function checkOptions(options: unknown, fields: OptionFields = poolFields, prefix = ''): OptionValues {
  if (!isFields(options)) {
    const given = Array.isArray(options) ? 'an array' : options === null ? 'null' : `of type ${typeof options}`
    throw new InvalidArgumentError('the options', given, 'an object')
  }
  const values: OptionValues = new Map()
  checkFields(options as Readonly<Record<string, unknown>>, fields, prefix, values)
  return values
}

function checkFields(
  given: Readonly<Record<string, unknown>>,
  fields: OptionFields,
  prefix: string,
  values: OptionValues,
): void {
  for (const name of fieldNames(given)) {
    const value = given[name]
    const path = prefix + name
    const kind = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (kind === undefined) throw unknownOption(fields, prefix, name)
    if (value === undefined) continue
    const accepted = acceptValue(path, kind, value)
    if (kind.fields !== undefined && accepted !== false) {
      checkFields(accepted as Readonly<Record<string, unknown>>, kind.fields, `${path}.`, values)
    } else values.set(path, accepted)
  }
}

/**
 * Fills in the defaults of options that were checked, each by itself, and checks what they must be beside each other.
 *
 * @param prefix what stands in front of their names in messages: `breaker.`
 * @throws InvalidArgumentError
 */
export function resolveFields<Fields extends OptionFields>(
  fields: Fields,
  given: object,
  prefix = '',
): ResolvedOf<Fields> {
  const resolved: Record<string, unknown> = {}
  const values = given as Readonly<Record<string, unknown>>
  for (const [name, kind] of Object.entries(fields)) {
    const value = values[name]
    resolved[name] =
      kind.fields === undefined || value === false
        ? (value ?? kind.default)
        : resolveFields(kind.fields, value ?? {}, `${prefix}${name}.`)
  }
  for (const [name, { beside }] of Object.entries(fields)) {
    const [value, other] = [resolved[name], resolved[beside?.option ?? name]]
    if (beside === undefined || value === undefined || other === undefined) continue
    if (!beside.holds(value as number, other as number)) {
      throw new InvalidArgumentError(prefix + name, String(value), beside.allowed(other as number))
    }
  }
  return resolved as ResolvedOf<Fields>
}

/** @throws InvalidArgumentError, with the value unless it is a secret */
export function acceptValue(name: string, kind: OptionKind, value: unknown, asGiven = value): unknown {
  const accepted = kind.accept(value)
  if (accepted === undefined) throw new InvalidArgumentError(name, showValue(kind, asGiven), kind.allowed)
  return accepted
}

/** The options as an object again, groups included. */
export function nest(values: OptionValues, fields: OptionFields = poolFields): Record<string, unknown> {
  const nested: Record<string, unknown> = {}
  for (const [path, value] of values) {
    const [first = '', second] = path.split('.')
    if (!Object.hasOwn(fields, first)) continue // known to libpq alone
    if (second === undefined) nested[first] = value
    else if (nested[first] === false) throw new InvalidArgumentError(path, `given, and ${first} is off`, 'one of them')
    else nested[first] = { ...(nested[first] as object | undefined), [second]: value }
  }
  return nested
}

function unknownOption(fields: OptionFields, prefix: string, name: string): InvalidArgumentError {
  const foreign = fields === poolFields ? foreignName(name, (path) => path) : undefined
  if (foreign !== undefined) {
    const given = foreign.isOfPg ? 'an option of pg.Pool' : 'not an option here'
    return new InvalidArgumentError(name, given, `here it is ${foreign.here}`)
  }
  const names = Object.keys(fields)
  const near = nearestName(name, names)
  const meant = near === undefined ? 'not an option' : `not an option, but ${prefix}${near} is`
  return new InvalidArgumentError(prefix + name, meant, names.sort().join(', '))
}

/** How a value is shown in a message; a secret, and what may hold one, only by its type. */
function showValue(kind: OptionKind, value: unknown): string {
  if (kind.isSecret !== undefined) {
    if (typeof value !== 'string') return `of type ${typeof value}`
    if (typeof kind.isSecret === 'string') return kind.isSecret
    return value === '' ? 'empty' : 'a string that is not shown'
  }
  if (typeof value === 'number') return String(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'bigint') return `${value}n`
  return JSON.stringify(value) ?? `of type ${typeof value}`
}
