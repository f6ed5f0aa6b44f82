import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { Duration } from '../../deadline/duration.js'
import type { TypeParsers } from '../pg-internals.js'
import type { TypeChoices } from '../type-parsers.js'
import type { Endpoint } from './endpoint.js'
import type { SslMode, TlsSettings } from './tls.js'

/** What a session must be like: https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS */
export type TargetSessionAttrs = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

/** Whether to bind the login to the TLS connection. */
export type ChannelBinding = 'disable' | 'prefer' | 'require'

/** Everything about connecting, from the options, the URL and the environment together. */
export interface ConnectSettings {
  /** One or more. */
  readonly endpoints: readonly Endpoint[]
  readonly user: string
  readonly database: string
  readonly password: string | (() => string | Promise<string>) | undefined
  /** Where to look for the password when none was given. */
  readonly passwordFile: string
  readonly tls: TlsSettings
  readonly sslNegotiation: 'postgres' | 'direct'
  readonly channelBinding: ChannelBinding
  readonly targetSessionAttrs: TargetSessionAttrs
  readonly loadBalanceHosts: 'disable' | 'random'
  readonly types: TypeParsers | undefined
  readonly connectTimeoutMs: number
  readonly keepAlive: boolean
  readonly keepAliveInitialDelayMs: number
  readonly applicationName: string | undefined
  /** Switches for the server: `-c name=value`. */
  readonly startupOptions: string | undefined
}

/** Where and how to connect: `pg`'s own names, so that a configuration for `pg.Pool` moves over. */
export interface ConnectOptions {
  /**
   * `postgres://user:password@host1:5432,host2:5432/database?target_session_attrs=read-write&pool_max=20`, or
   * `host=... dbname=...`. It may name every option that a text can say. What is said both here and in a field must be
   * the same; what is said in neither comes from the environment: PGHOST, PGPORT, PGUSER, ...
   *
   * @default undefined (the fields, then the environment)
   */
  readonly connectionString?: string | undefined
  /**
   * Host name, address, or the folder of a Unix socket; several, in an array or separated by commas, are tried in order,
   * each new one 250 ms after the last or as soon as that has failed.
   *
   * @default PGHOST or 'localhost'
   */
  readonly host?: string | readonly string[] | undefined
  /** 1 to 65535, also as text; one for all hosts, or one for each. @default PGPORT or 5432 */
  readonly port?: number | string | readonly (number | string)[] | undefined
  /** Who logs in. @default PGUSER or the name of the operating system's user */
  readonly user?: string | undefined
  /**
   * A function is called for each new connection, so that tokens may rotate; its time counts as time to connect, and what
   * it throws is the `cause` of the error that callers get.
   *
   * @default PGPASSWORD, or the line that fits in the password file: PGPASSFILE or ~/.pgpass
   */
  readonly password?: string | (() => string | Promise<string>) | undefined
  /** The database. @default PGDATABASE or the user's name */
  readonly database?: string | undefined
  /**
   * TLS. `true` is `'verify-full'`: the server's certificate and its host name are verified. libpq's other modes verify
   * less, `'no-verify'` nothing; `'allow'` and `'prefer'` may end without TLS. An object is handed to `tls.connect`, and verifies unless it says
   * otherwise. A Unix socket has no TLS.
   *
   * @default sslmode of the URL, PGSSLMODE, or false
   */
  readonly ssl?: boolean | SslMode | 'no-verify' | TlsOptions | undefined
  /**
   * `'direct'` begins TLS at once, a round trip earlier: PostgreSQL 17 or newer, and `ssl` must be `'require'` or
   * stronger. @default PGSSLNEGOTIATION or 'postgres'
   */
  readonly sslNegotiation?: 'postgres' | 'direct' | undefined
  /**
   * Whether the login is bound to the TLS connection, so that nobody in the middle can pass it on: `'require'` refuses
   * a server that cannot. Needs a password, scram-sha-256 and TLS. @default PGCHANNELBINDING or 'disable'
   */
  readonly channelBinding?: ChannelBinding | undefined
  /**
   * What a connection must be like to be used, with several hosts: which of them takes writes, or does not. A connection
   * that is not so any more, because its server was promoted, is replaced when it comes back. With `'read-write'` and
   * `'primary'` several hosts are a cluster, as with `replicas`: a new primary is waited for, and an old one not written to.
   *
   * @default PGTARGETSESSIONATTRS or 'any'
   */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  /** `'random'` tries several hosts in a new order for each connection. @default PGLOADBALANCEHOSTS or 'disable' */
  readonly loadBalanceHosts?: 'disable' | 'random' | undefined
  /**
   * As what values come back: `{ int8: 'bigint', date: 'string' }`, or an object with `getTypeParser` as `pg` takes it.
   *
   * @default undefined (as `pg` has them: int8 and numeric as strings, dates and timestamps as Date, json parsed)
   */
  readonly types?: TypeParsers | TypeChoices | undefined
  /** How long opening one connection may take, in milliseconds, authentication included; each of several hosts has as much. `0` for no bound. @default PGCONNECT_TIMEOUT or 5000 */
  readonly connectTimeoutMs?: Duration | undefined
  /** TCP keepalive, so that a dead peer is noticed on an idle connection. @default true */
  readonly keepAlive?: boolean | undefined
  /** Silence before the first keepalive probe, in milliseconds. @default 10000 */
  readonly keepAliveInitialDelayMs?: Duration | undefined
  /**
   * The server stops a statement that runs for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  readonly statementTimeoutMs?: Duration | undefined
  /**
   * The server ends a session that idles inside a transaction for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  readonly idleInTransactionTimeoutMs?: Duration | undefined
  /** Shown in `pg_stat_activity.application_name`. @default PGAPPNAME or the pool's name */
  readonly applicationName?: string | undefined
  /** Runtime parameters for every connection: `{ work_mem: '64MB' }`. Sent as it connects, at no extra round trip. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /**
   * Statements that each connection keeps prepared on the server: those that come again are parsed once. The one used the
   * longest time ago makes room for the next. `0` prepares nothing, which a pooler needs that lends sessions by the
   * transaction and does not track prepared statements.
   *
   * @default 256
   */
  readonly statementCacheSize?: number | undefined
}
