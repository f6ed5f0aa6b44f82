import { choice, count, type OptionKind, text } from './option-kinds.js'
import { sslModes } from './wire/tls-settings.js'

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
const version = choice('TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3')
/** The only value that changes nothing: everything else would be dropped in silence. */
const only = (...values: string[]): LibpqParameter => ({ kind: choice(...values) })

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
    kind: choice('0', '1'),
    convert: (value: string) => value === '1',
  },
  keepalives_idle: { option: 'keepAliveInitialDelayMs', kind: count({ most: 32_767 }), convert: seconds },
  target_session_attrs: { option: 'targetSessionAttrs', env: 'PGTARGETSESSIONATTRS' },
  load_balance_hosts: { option: 'loadBalanceHosts', env: 'PGLOADBALANCEHOSTS' },
  channel_binding: { option: 'channelBinding', env: 'PGCHANNELBINDING' },
  sslmode: {
    kind: choice('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'),
    env: 'PGSSLMODE',
  },
  sslnegotiation: { option: 'sslNegotiation', env: 'PGSSLNEGOTIATION' },
  sslrootcert: { kind: text(), env: 'PGSSLROOTCERT' },
  sslcert: { kind: text(), env: 'PGSSLCERT' },
  sslkey: { kind: text(), env: 'PGSSLKEY' },
  sslpassword: { kind: { ...text(), isSecret: true } },
  ssl_min_protocol_version: { kind: version, env: 'PGSSLMINPROTOCOLVERSION' },
  ssl_max_protocol_version: { kind: version, env: 'PGSSLMAXPROTOCOLVERSION' },
  // `pg` has these.
  ssl: { kind: choice('true', '1', 'false', '0', 'no-verify', ...sslModes) },
  uselibpqcompat: only('true'),
  // Values of libpq that are the case anyway.
  client_encoding: { ...only('UTF8', 'utf8', 'UTF-8', 'utf-8', 'auto'), env: 'PGCLIENTENCODING' },
  gssencmode: { ...only('disable', 'prefer'), env: 'PGGSSENCMODE' },
  sslcompression: only('0'),
  sslsni: only('1'),
  replication: only('false', 'off', 'no', '0'),
}
