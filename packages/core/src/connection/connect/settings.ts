import type { TypeParsers } from '../pg-internals.js'
import type { Endpoint } from './endpoint.js'
import type { TlsSettings } from './tls.js'

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
