import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type pg from 'pg'
import { type Clock, longestDelayMs, type Random } from '../../deadline/clock.js'
import { Deadline } from '../../deadline/deadline.js'
import { isAboutEncryption } from '../../errors/classify.js'
import { LoginError } from '../../errors/pool-errors.js'
import { Connection } from '../connection.js'
import { makeReadable } from '../readable-session.js'
import { Statement } from '../statement.js'
import { type Endpoint, endpointText } from './endpoint.js'
import { misfit, openFirst } from './multi-host.js'
import { passwordFromFile } from './password-file.js'
import type { ConnectSettings, TargetSessionAttrs } from './settings.js'
import { tlsAttempts } from './tls.js'

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
    const what =
      password === undefined
        ? 'the server asks for a password, and none was given'
        : 'the password function gave no string, or one with a zero byte'
    throw new LoginError(what, 'the option password, a connection string, PGPASSWORD, or a line in the password file')
  }
}

/** Where connections go: one endpoint or several, and what a session there must be like. */
export class Connector {
  readonly endpoints: readonly Endpoint[]
  readonly targetSessionAttrs: TargetSessionAttrs
  readonly #settings: ConnectSettings
  readonly #poolName: string
  readonly #clock: Clock
  readonly #random: Random

  constructor(settings: ConnectSettings, poolName: string, clock: Clock, random: Random) {
    this.endpoints = settings.endpoints
    this.targetSessionAttrs = settings.targetSessionAttrs
    this.#settings = settings
    this.#poolName = poolName
    this.#clock = clock
    this.#random = random
  }

  /** All endpoints, for messages: `db1:5432,db2:5432`. Never the user or password. */
  get address(): string {
    return this.endpoints.map(endpointText).join(',')
  }

  /**
   * Opens a connection to the first endpoint that answers and fits.
   *
   * @throws what connecting to the only endpoint said; an AggregateError with one error for each of several
   */
  open(signal?: AbortSignal): Promise<Connection> {
    const { endpoints, targetSessionAttrs } = this
    const [only] = endpoints
    if (only !== undefined && endpoints.length === 1 && targetSessionAttrs === 'any') return this.openAt(only, signal)
    return openFirst({
      endpoints: this.#settings.loadBalanceHosts === 'random' ? shuffled(endpoints, this.#random) : endpoints,
      open: (endpoint, lost) => this.openAt(endpoint, signal === undefined ? lost : AbortSignal.any([signal, lost])),
      misfit: (connection) => this.#misfit(connection),
      close: (connection) => void connection.close(),
      takesMisfits: targetSessionAttrs === 'prefer-standby',
      wanted: targetSessionAttrs,
      clock: this.#clock,
    })
  }

  /** Opens a connection to this endpoint, whatever its role; with and without TLS in turn where `sslmode` says so. */
  async openAt(endpoint: Endpoint, signal?: AbortSignal): Promise<Connection> {
    const attempts = tlsAttempts(this.#settings.tls, endpoint)
    for (const [at, ssl] of attempts.entries()) {
      try {
        const connection = await this.#openWith(clientConfig(this.#settings, this.#poolName, endpoint, ssl), signal)
        // As it was given: what was connected to may be its address.
        connection.address = endpointText(endpoint)
        return connection
      } catch (error) {
        // The other way is worth a try when the server, or TLS, has refused this one; not when nobody answers.
        if (at === attempts.length - 1 || signal?.aborted === true || !isAboutEncryption(error)) throw error
      }
    }
    throw new Error('bug: an endpoint without a way to connect to it')
  }

  /** Whether a session is still what was asked for: a standby that was promoted is none any more. */
  suits(connection: Connection): boolean {
    if (this.targetSessionAttrs === 'any' || this.targetSessionAttrs === 'prefer-standby') return true
    return misfit(connection.reports, this.targetSessionAttrs) === undefined
  }

  /** Whether a session that is read-only is not what its user has asked for. */
  get mayWrite(): boolean {
    if (asksForReadOnly.test(this.#settings.startupOptions ?? '')) return false
    return this.targetSessionAttrs === 'any' || this.wantsWriter
  }

  /** Whether a session must take writes. */
  get wantsWriter(): boolean {
    return this.targetSessionAttrs === 'read-write' || this.targetSessionAttrs === 'primary'
  }

  /** A connection that was opened by other means, if its session is what was asked for; else it is torn down. */
  fitting(connection: Connection): Connection {
    const why = misfit(connection.reports, this.targetSessionAttrs)
    if (why === undefined) return connection
    connection.terminate()
    throw new Error(`${connection.address} ${why}, and ${this.targetSessionAttrs} is wanted`)
  }

  /** What `pg` would be given for the first endpoint; for those who ask a `pg.Pool` for its options. */
  pgConfig(): ClientConfig {
    const [first] = this.endpoints
    if (first === undefined) throw new Error('bug: a destination without an endpoint')
    const [ssl] = tlsAttempts(this.#settings.tls, first)
    if (ssl === undefined) throw new Error('bug: an endpoint without a way to connect to it')
    return clientConfig(this.#settings, this.#poolName, first, ssl)
  }

  async #openWith(config: ClientConfig, signal: AbortSignal | undefined): Promise<Connection> {
    const isBound = this.#settings.channelBinding === 'require'
    const connection = await Connection.open(config, this.#clock, signal, isBound)
    try {
      await makeReadable(connection, this.deadline(signal))
      return connection
    } catch (error) {
      connection.terminate()
      throw error
    }
  }

  async #misfit(connection: Connection): Promise<string | undefined> {
    const { reports } = connection
    if (reports.isReadWrite === undefined && this.targetSessionAttrs !== 'any') {
      const { rows } = await connection.run(new Statement({ text: askRole }), this.deadline())
      const [row] = rows
      reports.learn({ inHotStandby: row?.['standby'] === true, defaultReadOnly: row?.['readonly'] === 'on' })
    }
    return misfit(reports, this.targetSessionAttrs)
  }

  /** The bounds of one attempt to connect, and of what is done with a connection before anybody has it. */
  deadline(signal?: AbortSignal): Deadline {
    return Deadline.of({ timeoutMs: this.#settings.connectTimeoutMs || undefined, signal }, this.#clock)
  }
}

/** A setting of the pool, or a switch in its URL. */
const asksForReadOnly = /default_transaction_read_only[\\ ]*=[\\ ]*(?:on|true|yes|1)/i

/** For servers that do not report it: PostgreSQL 13 and older, and some poolers. */
const askRole = `select pg_catalog.pg_is_in_recovery() as standby, pg_catalog.current_setting('default_transaction_read_only') as readonly`

/** Every order equally likely. https://en.wikipedia.org/wiki/Fisher%E2%80%93Yates_shuffle */
function shuffled<T>(list: readonly T[], random: Random): T[] {
  const order = [...list]
  for (let last = order.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1))
    ;[order[last], order[at]] = [order[at] as T, order[last] as T]
  }
  return order
}
