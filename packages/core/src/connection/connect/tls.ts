import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { InvalidArgumentError } from '../../errors/lifeguard-error.js'
import { markMisconfigured } from '../../errors/origin.js'
import { type Endpoint, isSocketFolder } from './endpoint.js'

/** What is known of a connection that was to be encrypted, and is not. */
export interface TlsAnswer {
  /**
   * The server has sent an error in place of an answer to the question for TLS, which it does before it has a process for
   * the connection: it may pass. `pg` says the same of what comes from no PostgreSQL.
   * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-SSL
   */
  readonly isServerError: boolean
  /** TLS could begin, and did not: the options for it are of no use. Such an error has not always a code. */
  readonly isUnusable: boolean
}

/** Watches a connection that is about to be made. */
export function watchTlsAnswer(protocol: EventEmitter & { readonly stream: Duplex }, isDirect: boolean): TlsAnswer {
  const { stream: socket } = protocol
  let first: number | undefined
  let mayBegin = false
  let hasBegun = false
  if (isDirect) socket.once('connect', () => (mayBegin = true))
  else {
    socket.once('data', (bytes: Buffer) => {
      first = bytes[0]
      mayBegin = first === 0x53 && bytes.length === 1
    })
  }
  // `pg` makes the TLS socket in the same turn, and emits an event when it has.
  protocol.once('sslconnect', () => (hasBegun = true))
  return {
    get isServerError() {
      return first === 0x45
    },
    get isUnusable() {
      return mayBegin && !hasBegun
    },
  }
}

/** libpq's levels of protection: https://www.postgresql.org/docs/18/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** All of them, from the weakest to the strongest. */
export const sslModes: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/** What was said of TLS. */
export interface GivenTls {
  /** The option `ssl`. */
  readonly ssl?: boolean | SslMode | 'no-verify' | tls.ConnectionOptions | undefined
  /** `sslmode` of the URL or the environment. */
  readonly mode?: SslMode | 'no-verify' | undefined
  /** Files, or `system` for the certificates that the operating system trusts. */
  readonly rootCertificate?: string | undefined
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  readonly keyPassword?: string | undefined
  readonly minVersion?: string | undefined
  readonly maxVersion?: string | undefined
  readonly direct?: boolean | undefined
}

/** What TLS is like for every connection: files have been read, and contradictions refused. */
export interface TlsSettings {
  readonly mode: SslMode
  readonly options: tls.ConnectionOptions
}

/**
 * Reads the files and settles the mode. When nothing was said of TLS there is none, as `pg` has it; when anything was
 * but the mode, the certificate is verified in full.
 *
 * @throws InvalidArgumentError
 */
export function tlsSettings(given: GivenTls): TlsSettings {
  const options: tls.ConnectionOptions = typeof given.ssl === 'object' ? copyOf(given.ssl) : {}
  if (given.rootCertificate === 'system') options.ca = systemCertificates()
  else if (given.rootCertificate !== undefined) options.ca = fileOf('sslrootcert', given.rootCertificate)
  if (given.certificate !== undefined) options.cert = fileOf('sslcert', given.certificate)
  if (given.key !== undefined) options.key = fileOf('sslkey', given.key)
  if (given.keyPassword !== undefined) options.passphrase = given.keyPassword
  if (given.minVersion !== undefined) options.minVersion = given.minVersion as tls.SecureVersion
  if (given.maxVersion !== undefined) options.maxVersion = given.maxVersion as tls.SecureVersion
  const mode = modeOf(given, options)
  if (given.direct === true && sslModes.indexOf(mode) < sslModes.indexOf('require')) {
    throw new InvalidArgumentError('sslNegotiation', `'direct' with sslmode ${mode}`, 'sslmode require or stronger')
  }
  if (given.rootCertificate === 'system' && mode !== 'verify-full') {
    throw new InvalidArgumentError(
      'sslmode',
      `'${mode}' with sslrootcert=system`,
      "'verify-full': anybody may get such a certificate",
    )
  }
  if (mode === 'verify-ca' && options.ca === undefined) {
    throw new InvalidArgumentError('sslmode', "'verify-ca' without sslrootcert", "with sslrootcert, or 'verify-full'")
  }
  return { mode, options }
}

function modeOf(given: GivenTls, options: tls.ConnectionOptions): SslMode {
  const { ssl, mode } = given
  const own = ssl === true ? 'verify-full' : ssl === false ? 'disable' : typeof ssl === 'string' ? ssl : undefined
  if (own !== undefined && mode !== undefined && own !== mode) {
    throw new InvalidArgumentError('ssl', `${ssl}, which is sslmode ${own}, and sslmode is ${mode}`, 'one of them')
  }
  const decidesItself = options.rejectUnauthorized !== undefined || options.checkServerIdentity !== undefined
  if (decidesItself && mode !== undefined) {
    const what = 'an object with rejectUnauthorized or checkServerIdentity, and sslmode is given too'
    throw new InvalidArgumentError('ssl', what, 'one of them')
  }
  const asked = own ?? mode
  if (asked === 'no-verify') {
    options.rejectUnauthorized = false
    return 'require'
  }
  if (asked !== undefined) return asked
  const isSaid = given.direct === true || typeof ssl === 'object' || Object.keys(options).length > 0
  return isSaid ? 'verify-full' : 'disable'
}

/**
 * What to try at an endpoint, in order: `false` for no TLS, or the options of TLS. More than one only where the user asked
 * for a fallback. A Unix socket has no TLS, as for libpq.
 */
export function tlsAttempts(
  { mode, options }: TlsSettings,
  endpoint: Endpoint,
): readonly (false | tls.ConnectionOptions)[] {
  if (mode === 'disable' || isSocketFolder(endpoint.host)) return [false]
  const encrypted = protectedBy(mode, options)
  if (endpoint.address !== undefined) {
    // The socket goes to the address; the certificate is that of the host.
    encrypted.host = endpoint.host
    if (isIP(endpoint.host) === 0) encrypted.servername ??= endpoint.host
  }
  if (mode === 'allow') return [false, encrypted]
  return mode === 'prefer' ? [encrypted, false] : [encrypted]
}

function protectedBy(mode: SslMode, options: tls.ConnectionOptions): tls.ConnectionOptions {
  // A copy for each client: `pg` hides the key of the object that it gets.
  const copy = copyOf(options)
  if (copy.checkServerIdentity !== undefined) copy.checkServerIdentity = noted(copy.checkServerIdentity)
  if (mode === 'verify-full' || options.rejectUnauthorized !== undefined) return copy
  // With a root certificate, encryption alone becomes verify-ca: libpq promises that of `require`.
  if (mode === 'verify-ca' || options.ca !== undefined) return { ...copy, checkServerIdentity: () => undefined }
  return { ...copy, rejectUnauthorized: false }
}

/** What a check of the caller's says of a certificate holds for the next attempt, too; such an error may have no code. */
function noted(check: NonNullable<tls.ConnectionOptions['checkServerIdentity']>): typeof check {
  return (host, certificate) => {
    const refusal = check(host, certificate)
    if (refusal !== undefined) markMisconfigured(refusal)
    return refusal
  }
}

/** A key that `pg` has hidden in an object of the user's would be lost by spreading it. */
function copyOf(options: tls.ConnectionOptions): tls.ConnectionOptions {
  return 'key' in options ? { ...options, key: options.key } : { ...options }
}

function fileOf(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new InvalidArgumentError(
      parameter,
      `${JSON.stringify(path)}, which cannot be read (${code})`,
      'the path of a PEM file',
    )
  }
}

function systemCertificates(): string[] {
  if (typeof tls.getCACertificates === 'function') return tls.getCACertificates('system')
  throw new InvalidArgumentError(
    'sslrootcert',
    "'system', which needs Node.js 22.15 or newer",
    'the path of a PEM file',
  )
}
