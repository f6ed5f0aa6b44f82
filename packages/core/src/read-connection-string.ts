import { nearestName, plainName } from './base/nearest-name.js'
import { acceptValue, type OptionValues } from './check-options.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { foreignName } from './foreign-names.js'
import { type LibpqParameter, libpqParameters } from './libpq-parameters.js'
import type { OptionKind } from './option-kinds.js'
import { optionTable } from './option-table.js'
import { parseConnectionString } from './wire/connection-string.js'

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
 * @throws InvalidOptionError for what is unknown, not allowed, or said twice in different ways
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
      throw new InvalidOptionError(where, 'a second value for the same setting', 'one value')
    }
    values.set(key, accepted)
  }
  return values
}

/**
 * What the environment says, in the same form. An empty variable says nothing.
 *
 * @throws InvalidOptionError for a value that is not allowed
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
  if (kind?.fromText === undefined) throw new Error(`bug: ${where} cannot be said by a text`)
  return acceptValue(where, mayShow ? kind : { ...kind, isSecret: true }, kind.fromText(value), value)
}

function unknownParameter(name: string | undefined): InvalidOptionError {
  const names = [...Object.keys(libpqParameters), ...poolParameters.keys()].sort()
  // Only what looks like a name is shown: anything else may be a piece of a password.
  if (name === undefined || !/^[a-zA-Z_][a-zA-Z0-9_.]{0,40}$/.test(name)) {
    return new InvalidOptionError(
      'a parameter in connectionString',
      'not known (not shown: it may be part of a password)',
      names.join(', '),
    )
  }
  const where = `${name} in connectionString`
  const foreign = foreignName(name, (path) => urlNameOf(path) ?? libpqNameOf(path) ?? `the option ${path}`)
  if (foreign !== undefined) return new InvalidOptionError(where, 'not a parameter here', foreign.here)
  const own = ownNameOf(name)
  if (own !== undefined) return new InvalidOptionError(where, 'not a parameter here', own)
  const near = nearestName(name, names) ?? nearestName(`pool_${name}`, names)
  return new InvalidOptionError(
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
