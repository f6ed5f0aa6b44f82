import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type pg from 'pg'
import { longestDelayMs } from '../base/clock.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import type { ConnectSettings } from './connect-settings.js'
import type { Endpoint } from './endpoint.js'
import { passwordFromFile } from './password-file.js'

/** What `pg` takes to make one connection. */
export type ClientConfig = pg.ClientConfig

/**
 * The configuration of one `pg.Client`. Everything is named, so that `pg` looks for nothing in the environment by
 * itself.
 */
export function clientConfig(
  settings: ConnectSettings,
  poolName: string,
  endpoint: Endpoint,
  ssl: false | TlsOptions,
): ClientConfig {
  const config: ClientConfig & { sslnegotiation?: string; enableChannelBinding?: boolean } = {
    host: endpoint.address ?? endpoint.host,
    port: endpoint.port,
    user: settings.user,
    database: settings.database,
    password: passwordFor(settings, endpoint),
    ssl,
    sslnegotiation: ssl === false ? 'postgres' : settings.sslNegotiation,
    enableChannelBinding: ssl !== false && settings.channelBinding !== 'disable',
    // `pg` has Node's own timer for it, which cannot be longer: a connection attempt has ended long before.
    connectionTimeoutMillis: Math.min(settings.connectTimeoutMs, longestDelayMs),
    keepAlive: settings.keepAlive,
    keepAliveInitialDelayMillis: settings.keepAliveInitialDelayMs,
    application_name: settings.applicationName ?? poolName,
  }
  if (settings.types !== undefined) config.types = settings.types as pg.CustomTypesConfig
  if (settings.startupOptions !== undefined) config.options = settings.startupOptions
  return config
}

/** Asked only when the server wants a password, for each connection anew, within its time to connect. */
function passwordFor(settings: ConnectSettings, endpoint: Endpoint): string | (() => Promise<string>) {
  const { password, passwordFile, database, user } = settings
  if (typeof password === 'string') return password
  return async () => {
    const found =
      password === undefined ? await passwordFromFile(passwordFile, { ...endpoint, database, user }) : await password()
    if (typeof found === 'string' && !found.includes('\0')) return found
    const given =
      password === undefined
        ? 'not given, and the server asks for one'
        : 'a function that gave no text, or one with a zero byte'
    const allowed = 'the option password, a connection string, PGPASSWORD, or a line in the password file'
    throw new InvalidOptionError('password', given, allowed)
  }
}
