import { userInfo } from 'node:os'
import type { ResolvedReplica } from '../cluster/cluster-options.js'
import type { Endpoint } from '../connection/connect/endpoint.js'
import { defaultPasswordFile } from '../connection/connect/password-file.js'
import type { ConnectSettings } from '../connection/connect/settings.js'
import { type GivenTls, type SslMode, type TlsSettings, tlsSettings } from '../connection/connect/tls.js'
import { type RuntimeSettings, startupOptions } from '../connection/runtime-settings.js'
import { typeParsers } from '../connection/type-parsers.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { readConnectionString } from './connection-string.js'
import { connectFields } from './option-schema.js'
import { type OptionValues, resolveFields } from './validate.js'

/**
 * How to connect, out of everything that was said.
 *
 * @throws InvalidArgumentError for what does not go together
 */
export function connectSettings(values: OptionValues): ConnectSettings {
  const get = <T>(path: string): T | undefined => values.get(path) as T | undefined
  const options = resolveFields(connectFields, Object.fromEntries(values))
  const { user = userOfSystem(), types, sslNegotiation } = options
  return {
    endpoints: endpointsOf(options, get('host'), get('hostaddr')),
    user,
    database: options.database ?? user,
    password: options.password || undefined,
    passwordFile: get('passfile') ?? defaultPasswordFile(),
    tls: tlsOf(values, sslNegotiation === 'direct'),
    sslNegotiation,
    channelBinding: options.channelBinding,
    targetSessionAttrs: options.targetSessionAttrs,
    loadBalanceHosts: options.loadBalanceHosts,
    types: types === undefined ? undefined : typeParsers(types),
    connectTimeoutMs: options.connectTimeoutMs,
    keepAlive: options.keepAlive,
    keepAliveInitialDelayMs: options.keepAliveInitialDelayMs,
    applicationName: options.applicationName,
    startupOptions: startupOptions(get('options'), runtimeSettings(values)),
  }
}

/** One for each host. One port counts for all; with several there is one for each, and so with addresses. */
function endpointsOf(
  { host: hostOrDefault, port: ports }: { readonly host: readonly string[]; readonly port: readonly number[] },
  given: readonly string[] | undefined,
  addresses: string | undefined,
): readonly Endpoint[] {
  const listed = addresses?.split(',')
  const hosts = given ?? listed ?? hostOrDefault
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new InvalidArgumentError(
      'port',
      `a list of ${ports.length} for ${hosts.length} host(s)`,
      'one, or one for each host',
    )
  }
  if (listed !== undefined && listed.length !== hosts.length) {
    throw new InvalidArgumentError(
      'hostaddr',
      `a list of ${listed.length} for ${hosts.length} host(s)`,
      'one for each host',
    )
  }
  return hosts.map((host, at) => {
    const port = ports[ports.length === 1 ? 0 : at] as number
    const address = listed?.[at]
    return address === undefined || address === '' || address === host ? { host, port } : { host, port, address }
  })
}

function runtimeSettings(values: OptionValues): RuntimeSettings {
  const settings: Record<string, string | number | boolean> = {
    ...(values.get('settings') as RuntimeSettings | undefined),
  }
  for (const [path, name] of Object.entries(settingOptions)) {
    const value = values.get(path)
    if (value === undefined) continue
    if (settings[name] !== undefined && settings[name] !== value) {
      throw new InvalidArgumentError(`settings.${name}`, `given beside ${path}, with another value`, 'one of them')
    }
    // The server counts whole milliseconds, and takes 0 for 'never'.
    settings[name] = value === 0 ? 0 : Math.max(1, Math.round(value as number))
  }
  return settings
}

/** Options that are settings of the server. */
const settingOptions: Readonly<Record<string, string>> = {
  statementTimeoutMs: 'statement_timeout',
  idleInTransactionTimeoutMs: 'idle_in_transaction_session_timeout',
}

function tlsOf(values: OptionValues, direct: boolean): TlsSettings {
  const get = <T>(name: string): T | undefined => values.get(name) as T | undefined
  const option = get<GivenTls['ssl']>('ssl')
  const fromUrl = sslOfUrl(get('sslText'))
  if (fromUrl !== undefined && option !== undefined && option !== fromUrl) {
    throw new InvalidArgumentError('ssl', 'one thing in the options and another in connectionString', 'one of them')
  }
  const given: GivenTls = {
    ssl: option ?? fromUrl,
    mode: get('sslmode'),
    rootCertificate: get('sslrootcert'),
    certificate: get('sslcert'),
    key: get('sslkey'),
    keyPassword: get('sslpassword'),
    minVersion: get('ssl_min_protocol_version'),
    maxVersion: get('ssl_max_protocol_version'),
    direct,
  }
  return tlsSettings(given)
}

function sslOfUrl(text: string | undefined): GivenTls['ssl'] {
  if (text === 'true' || text === '1') return true
  return text === 'false' || text === '0' ? false : (text as SslMode | 'no-verify' | undefined)
}

function userOfSystem(): string {
  try {
    return userInfo().username
  } catch {
    // A container may run under a number that has no name.
    throw new InvalidArgumentError(
      'user',
      'not given, and the user of the system has no name',
      'the name of a database user',
    )
  }
}

/** What is about the primary's place alone. */
const ofThePlace = ['connectionString', 'host', 'port', 'hostaddr', 'targetSessionAttrs', 'loadBalanceHosts'] as const

/**
 * How to connect to a replica: what its URL says, and for the rest what holds for the primary.
 *
 * @param values everything that was said of the pool
 * @throws InvalidArgumentError for a URL that is none, or says what does not go together
 */
export function replicaSettings(
  values: OptionValues,
  { connectionString }: ResolvedReplica,
  index: number,
): ConnectSettings {
  const wanted = values.get('targetSessionAttrs')
  if (wanted !== undefined && !['any', 'read-write', 'primary'].includes(wanted as string)) {
    const allowed = "'any', 'read-write' or 'primary' beside replicas: read() chooses the replicas"
    throw new InvalidArgumentError('targetSessionAttrs', JSON.stringify(wanted), allowed)
  }
  const all: OptionValues = new Map(values)
  for (const path of ofThePlace) all.delete(path)
  for (const [path, value] of readReplica(connectionString, index)) {
    // As for the primary: the URL's ssl is a string, and the option's is not.
    all.set(path === 'ssl' ? 'sslText' : path, value)
  }
  return connectSettings(all)
}

/** What is wrong with it is said by the name that it has here. */
function readReplica(connectionString: string, index: number): OptionValues {
  try {
    return readConnectionString(connectionString)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new InvalidArgumentError(`replicas[${index}]`, 'not as it should be', error.message, { cause: error })
  }
}
