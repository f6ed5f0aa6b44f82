import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { TypeParsers } from './pg-internals.js'
import type { TypeChoices } from './type-choices.js'

/** Where and how to connect: `pg`'s own names, so that a configuration for `pg.Pool` moves over. */
export interface ConnectOptions {
  /**
   * `postgres://user:password@host:port/database?sslmode=...`. What it names wins over the fields below.
   *
   * @default undefined (the fields below, then libpq's environment variables: PGHOST, PGPORT, PGUSER, ...)
   */
  readonly connectionString?: string | undefined
  /** Host name, address, or the folder of a Unix socket. @default PGHOST or 'localhost' */
  readonly host?: string | undefined
  /** 1 to 65535. @default PGPORT or 5432 */
  readonly port?: number | undefined
  /** @default PGUSER or the name of the operating system's user */
  readonly user?: string | undefined
  /** A function is called for each new connection, so that tokens may rotate. @default PGPASSWORD */
  readonly password?: string | (() => string | Promise<string>) | undefined
  /** @default PGDATABASE or the user's name */
  readonly database?: string | undefined
  /** As for `pg`: `true` verifies the server's certificate; an object is handed to `tls.connect`. @default PGSSLMODE */
  readonly ssl?: boolean | TlsOptions | undefined
  /**
   * As what values come back: `{ int8: 'bigint', date: 'string' }`, or an object with `getTypeParser` as `pg` takes it.
   *
   * @default undefined (as `pg` has them: int8 and numeric as strings, dates and timestamps as Date, json parsed)
   */
  readonly types?: TypeParsers | TypeChoices | undefined
  /** How long opening one connection may take, in milliseconds, authentication included. @default 5000 */
  readonly connectTimeoutMs?: number | undefined
  /** TCP keepalive, so that a dead peer is noticed on an idle connection. @default true */
  readonly keepAlive?: boolean | undefined
  /** Silence before the first keepalive probe, in milliseconds. @default 10000 */
  readonly keepAliveInitialDelayMs?: number | undefined
  /**
   * The server stops a statement that runs for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  readonly statementTimeoutMs?: number | undefined
  /**
   * The server ends a session that idles inside a transaction for longer, in milliseconds; `0` for never.
   *
   * @default undefined (the server's setting)
   */
  readonly idleInTransactionTimeoutMs?: number | undefined
  /** Shown in `pg_stat_activity.application_name`. @default the pool's name */
  readonly applicationName?: string | undefined
  /** Runtime parameters for every connection: `{ work_mem: '64MB' }`. Sent as it connects, at no extra round trip. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
}
