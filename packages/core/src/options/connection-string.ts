import { parseConnectionString } from '../connection/connect/connection-string.js'
import { sslModes } from '../connection/connect/tls.js'
import { nearestName, plainName } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { choice, count, type OptionKind, secret, text } from './option-kinds.js'
import { optionTable } from './option-schema.js'
import { acceptValue, foreignName, type OptionValues } from './validate.js'

/** A parameter of libpq, as connection strings name it. */
export interface LibpqParameter {
  /** The option that it sets; the others are known by libpq's name alone. */
  readonly option?: string
  /** What it may be, where the option has another form or there is none. */
  readonly kind?: OptionKind
  /** From the value of `kind` to that of the option. */
  readonly convert?: (value: never) => unknown
  /** The environment variable that stands in for it. */
  readonly env?: string
}

const seconds = (value: number): number => value * 1_000
const version = choice(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'])
/** The only value that changes nothing: everything else would be dropped in silence. */
const only = (...values: string[]): LibpqParameter => ({ kind: choice(values) })

/**
 * What connection strings and the environment may say beside the options of the pool.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 * https://www.postgresql.org/docs/18/libpq-envars.html
 */
export const libpqParameters: Readonly<Record<string, LibpqParameter>> = {
  host: { option: 'host', env: 'PGHOST' },
  hostaddr: { kind: text(), env: 'PGHOSTADDR' },
  port: { option: 'port', env: 'PGPORT' },
  dbname: { option: 'database', env: 'PGDATABASE' },
  user: { option: 'user', env: 'PGUSER' },
  password: { option: 'password', env: 'PGPASSWORD' },
  passfile: { kind: text(), env: 'PGPASSFILE' },
  application_name: { option: 'applicationName', env: 'PGAPPNAME' },
  fallback_application_name: { option: 'name', kind: text() },
  options: { kind: text(), env: 'PGOPTIONS' },
  connect_timeout: { option: 'connectTimeoutMs', kind: count(), convert: seconds, env: 'PGCONNECT_TIMEOUT' },
  keepalives: {
    option: 'keepAlive',
    kind: choice(['0', '1']),
    convert: (value: string) => value === '1',
  },
  keepalives_idle: { option: 'keepAliveInitialDelayMs', kind: count({ most: 32_767 }), convert: seconds },
  target_session_attrs: { option: 'targetSessionAttrs', env: 'PGTARGETSESSIONATTRS' },
  load_balance_hosts: { option: 'loadBalanceHosts', env: 'PGLOADBALANCEHOSTS' },
  channel_binding: { option: 'channelBinding', env: 'PGCHANNELBINDING' },
  sslmode: {
    kind: choice(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']),
    env: 'PGSSLMODE',
  },
  sslnegotiation: { option: 'sslNegotiation', env: 'PGSSLNEGOTIATION' },
  sslrootcert: { kind: text(), env: 'PGSSLROOTCERT' },
  sslcert: { kind: text(), env: 'PGSSLCERT' },
  sslkey: { kind: text(), env: 'PGSSLKEY' },
  sslpassword: { kind: secret(text()) },
  ssl_min_protocol_version: { kind: version, env: 'PGSSLMINPROTOCOLVERSION' },
  ssl_max_protocol_version: { kind: version, env: 'PGSSLMAXPROTOCOLVERSION' },
  // `pg` has these.
  ssl: { kind: choice(['true', '1', 'false', '0', 'no-verify', ...sslModes]) },
  uselibpqcompat: only('true'),
  // Values of libpq that are the case anyway.
  client_encoding: { ...only('UTF8', 'utf8', 'UTF-8', 'utf-8', 'auto'), env: 'PGCLIENTENCODING' },
  gssencmode: { ...only('disable', 'prefer'), env: 'PGGSSENCMODE' },
  sslcompression: only('0'),
  sslsni: only('1'),
  replication: only('false', 'off', 'no', '0'),
}

/** Options that libpq has a name for, or that a connection string cannot say of itself. */
const namedByLibpq: ReadonlySet<string> = new Set([
  'connectionString',
  ...['host', 'port', 'user', 'password', 'database', 'applicationName'],
  ...['targetSessionAttrs', 'loadBalanceHosts', 'channelBinding', 'sslNegotiation'],
])

/**
 * The name of an option of the pool in a connection string: `pool_idle_timeout` for `idleTimeoutMs`. Undefined for those
 * that libpq names, and those that no text can say.
 */
export function urlNameOf(path: string): string | undefined {
  const kind = optionTable[path]
  if (kind?.fromText === undefined || namedByLibpq.has(path)) return undefined
  const words = path.replace(/Ms$/, '').replaceAll('.', '_')
  return `pool_${words.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`
}

/** Options by their name in connection strings. */
const poolParameters: ReadonlyMap<string, string> = new Map(
  Object.keys(optionTable).flatMap((path): [string, string][] => {
    const name = urlNameOf(path)
    return name === undefined ? [] : [[name, path]]
  }),
)

/**
 * What a connection string says, as options by their path, checked; what has no option stands under libpq's name.
 *
 * @throws InvalidArgumentError for what is unknown, not allowed, or said twice in different ways
 */
export function readConnectionString(connectionString: string): OptionValues {
  const { parameters, mayShow } = parseConnectionString(connectionString)
  const values: OptionValues = new Map()
  for (const { name, value, isHidden } of parameters) {
    const showsValue = mayShow && isHidden !== true
    const path = poolParameters.get(name)
    const libpq = Object.hasOwn(libpqParameters, name) ? libpqParameters[name] : undefined
    if (path === undefined && libpq === undefined) throw unknownParameter(mayShow ? name : undefined)
    const where = `${name} in connectionString`
    const [key, accepted] =
      libpq === undefined
        ? [path ?? name, readText(where, optionTable[path ?? ''], value, showsValue)]
        : readLibpq(where, name, libpq, value, showsValue)
    if (values.has(key) && !isSame(values.get(key), accepted)) {
      throw new InvalidArgumentError(where, 'a second value for the same setting', 'one value')
    }
    values.set(key, accepted)
  }
  return values
}

/**
 * What the environment says, in the same form. An empty variable says nothing.
 *
 * @throws InvalidArgumentError for a value that is not allowed
 */
export function readEnvironment(variables: NodeJS.ProcessEnv): OptionValues {
  const values: OptionValues = new Map()
  for (const [name, parameter] of Object.entries(libpqParameters)) {
    const value = parameter.env === undefined ? undefined : variables[parameter.env]
    if (value === undefined || value === '') continue
    const [key, accepted] = readLibpq(`${parameter.env} in the environment`, name, parameter, value, true)
    values.set(key, accepted)
  }
  return values
}

function readLibpq(
  where: string,
  name: string,
  { option, kind, convert }: LibpqParameter,
  value: string,
  mayShow: boolean,
): [string, unknown] {
  const given = readText(where, kind ?? optionTable[option ?? ''], value, mayShow)
  return [option ?? name, convert === undefined ? given : convert(given as never)]
}

function readText(where: string, kind: OptionKind | undefined, value: string, mayShow: boolean): unknown {
  if (kind?.fromText === undefined) throw new Error(`bug: ${where} cannot be said by a string`)
  return acceptValue(where, mayShow ? kind : { ...kind, isSecret: true }, kind.fromText(value), value)
}

function unknownParameter(name: string | undefined): InvalidArgumentError {
  const names = [...Object.keys(libpqParameters), ...poolParameters.keys()].sort()
  // Only what looks like a name is shown: anything else may be a piece of a password.
  if (name === undefined || !/^[a-zA-Z_][a-zA-Z0-9_.]{0,40}$/.test(name)) {
    return new InvalidArgumentError(
      'a parameter in connectionString',
      'not known (not shown: it may be part of a password)',
      names.join(', '),
    )
  }
  const where = `${name} in connectionString`
  const foreign = foreignName(name, (path) => urlNameOf(path) ?? libpqNameOf(path) ?? `the option ${path}`)
  if (foreign !== undefined) return new InvalidArgumentError(where, 'not a parameter here', foreign.here)
  const own = ownNameOf(name)
  if (own !== undefined) return new InvalidArgumentError(where, 'not a parameter here', own)
  const near = nearestName(name, names) ?? nearestName(`pool_${name}`, names)
  return new InvalidArgumentError(
    where,
    near === undefined ? 'not a parameter' : `not a parameter, but ${near} is`,
    names.join(', '),
  )
}

/** What an option of the pool is called here that was given by the name of its field, or without `pool_`. */
function ownNameOf(name: string): string | undefined {
  const wanted = plainName(name)
  for (const [here, path] of poolParameters) {
    if (plainName(path) === wanted || plainName(here) === `pool${wanted}`) return here
  }
  return undefined
}

function libpqNameOf(path: string): string | undefined {
  return Object.keys(libpqParameters).find((name) => libpqParameters[name]?.option === path)
}

/** Whether two values of a setting say the same. */
export function isSame(one: unknown, other: unknown): boolean {
  return Object.is(one, other) || (Array.isArray(one) && JSON.stringify(one) === JSON.stringify(other))
}
