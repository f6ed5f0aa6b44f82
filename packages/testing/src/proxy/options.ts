import { withoutSecrets } from '../without-secrets.js'
import type { Shape } from './delay-line.js'
import { invalidOption } from './fault-proxy-error.js'
import type { TargetAddress } from './protocol.js'

/** How a fault proxy slows connections down. All of it can be changed at run time with `set`. */
export interface FaultProxyShape {
  /**
   * Milliseconds added to a round trip, half of them on each way. Never less; on an idle machine about 0.2 ms more.
   * A delay, not a limit: messages sent one after the other are each delayed from their own arrival, so a pipelining
   * client pays it once. @default 0, minimum 0, maximum 600000
   */
  readonly roundTripMs?: number
  /**
   * At most this many milliseconds more for a round trip, a uniform random share of half of it on each way. Order is
   * kept. @default 0, minimum 0, maximum 600000
   */
  readonly jitterMs?: number
  /** Bytes per second of each connection and each way. @default Infinity, minimum 1 */
  readonly bandwidthBytesPerSecond?: number
}

/** Options of startFaultProxy. */
export interface FaultProxyOptions extends FaultProxyShape {
  /**
   * The real server: a `postgresql://` URL with a host, or host and port. A host that starts with `/` is a directory
   * with a Unix socket.
   */
  readonly target: string | TargetAddress
  /** Where to listen on 127.0.0.1. @default 0: a free port below the range of outgoing connections */
  readonly port?: number
  /** Seed of the jitter: the same seed gives each connection the same delays. @default 1, an integer from 0 to 2^32-1 */
  readonly seed?: number
  /** Stops the proxy when aborted, also while it starts. */
  readonly signal?: AbortSignal
}

const maxMs = 600_000

/** Throws FAULT_PROXY_INVALID_OPTION for a value that is not allowed; leaves out what is not given. */
export function checkShape(shape: FaultProxyShape): Partial<Shape> {
  const { roundTripMs, jitterMs, bandwidthBytesPerSecond } = shape
  for (const [option, value] of Object.entries({ roundTripMs, jitterMs })) {
    if (value !== undefined && !(typeof value === 'number' && value >= 0 && value <= maxMs)) {
      throw invalidOption(option, value, `0 to ${maxMs} milliseconds`)
    }
  }
  if (
    bandwidthBytesPerSecond !== undefined &&
    !(typeof bandwidthBytesPerSecond === 'number' && bandwidthBytesPerSecond >= 1)
  ) {
    throw invalidOption('bandwidthBytesPerSecond', bandwidthBytesPerSecond, 'from 1, or Infinity for no limit')
  }
  return {
    ...(roundTripMs !== undefined && { roundTripMs }),
    ...(jitterMs !== undefined && { jitterMs }),
    ...(bandwidthBytesPerSecond !== undefined && { bandwidthBytesPerSecond }),
  }
}

/** Throws FAULT_PROXY_INVALID_OPTION unless `value` is an integer from `least` to `most`. */
export function checkInteger(option: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw invalidOption(option, value, `an integer from ${least} to ${most}`)
  }
  return value
}

/** The address in a target. Throws FAULT_PROXY_INVALID_OPTION for one without. */
export function targetAddress(target: string | TargetAddress): TargetAddress {
  if (typeof target === 'string') {
    const { hostname, port } = parseDatabaseUrl('target', target)
    return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 5432 : Number(port) }
  }
  if (typeof target !== 'object' || target === null || typeof target.host !== 'string' || target.host === '') {
    throw invalidOption('target', target, 'a postgresql:// URL, or { host, port }')
  }
  return { host: target.host, port: checkInteger('target.port', target.port, 1, 65_535) }
}

/** A PostgreSQL URL with one host. Throws FAULT_PROXY_INVALID_OPTION for anything else, without its password. */
export function parseDatabaseUrl(option: string, text: string): URL {
  const allowed = 'one postgresql:// or postgres:// URL with one host'
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw invalidOption(option, withoutSecrets(text), allowed)
  if (!['postgresql:', 'postgres:'].includes(url.protocol) || url.hostname === '' || url.searchParams.has('host')) {
    throw invalidOption(option, withoutSecrets(text), allowed)
  }
  return url
}

/** The same URL with another address. */
export function withAddress(url: URL, host: string, port: number): string {
  const moved = new URL(url)
  moved.hostname = host
  moved.port = String(port)
  return moved.href
}
