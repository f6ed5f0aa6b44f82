import type pg from 'pg'
import type { ConnectOptions } from './connect-options.js'
import { typeParsers } from './type-choices.js'

/** What stands where the user said nothing, in milliseconds. */
const defaultConnectTimeoutMs = 5_000
const defaultKeepAliveDelayMs = 10_000

/** What `pg` takes to make one connection. */
export type ClientConfig = pg.ClientConfig

/** The configuration of one `pg.Client` for these options. */
export function clientConfig(options: ConnectOptions, poolName: string): pg.ClientConfig {
  const config: pg.ClientConfig = {
    connectionTimeoutMillis: options.connectTimeoutMs ?? defaultConnectTimeoutMs,
    keepAlive: options.keepAlive ?? true,
    keepAliveInitialDelayMillis: options.keepAliveInitialDelayMs ?? defaultKeepAliveDelayMs,
    fallback_application_name: poolName,
  }
  if (options.connectionString !== undefined) config.connectionString = options.connectionString
  if (options.host !== undefined) config.host = options.host
  if (options.port !== undefined) config.port = options.port
  if (options.user !== undefined) config.user = options.user
  if (options.password !== undefined) config.password = options.password
  if (options.database !== undefined) config.database = options.database
  if (options.ssl !== undefined) config.ssl = options.ssl
  if (options.types !== undefined) config.types = typeParsers(options.types) as pg.CustomTypesConfig
  if (options.applicationName !== undefined) config.application_name = options.applicationName
  const parameters = { ...options.settings }
  if (options.statementTimeoutMs !== undefined) parameters['statement_timeout'] = options.statementTimeoutMs
  if (options.idleInTransactionTimeoutMs !== undefined) {
    parameters['idle_in_transaction_session_timeout'] = options.idleInTransactionTimeoutMs
  }
  const entries = Object.entries(parameters)
  if (entries.length > 0) config.options = entries.map(([name, value]) => startupSwitch(name, value)).join(' ')
  return config
}

/**
 * One `-c name=value` of the startup packet's `options`, where a backslash escapes what would end the argument.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
 */
function startupSwitch(name: string, value: string | number | boolean): string {
  return `-c ${`${name}=${value}`.replace(/[\\ ]/g, '\\$&')}`
}
