import type { ConnectionIdentity } from './connection-filter.js'
import type { ToClientMessage, ToServerMessage } from './messages.js'

/** What has gone through a fault proxy since it started. */
export interface FaultProxyStats {
  readonly connections: { readonly opened: number; readonly open: number; readonly closed: number }
  /** Bytes received for each way, before any fault. */
  readonly bytes: { readonly toServer: number; readonly toClient: number }
  /**
   * Messages seen each way, by name; those of encrypted connections are not. Counting `Sync` and `Query` counts round
   * trips. A type that is not in the manual shows as `0x..`.
   */
  readonly messages: {
    readonly toServer: Readonly<Partial<Record<ToServerMessage | `0x${string}`, number>>>
    readonly toClient: Readonly<Partial<Record<ToClientMessage | `0x${string}`, number>>>
  }
  readonly cancelRequests: number
  /** Clients that were reset because the server could not be connected to. */
  readonly refusedByTarget: number
  /** Socket errors by code, such as `{ ECONNRESET: 2 }`; they are counted, never thrown. */
  readonly socketErrors: Readonly<Record<string, number>>
  /** When each connection was accepted, oldest first, in milliseconds since the epoch; the last 10 000. */
  readonly connectTimes: readonly number[]
  /** The proxy's own process. */
  readonly process: {
    readonly pid: number
    readonly residentBytes: number
    /** Processor time used so far, user and system. */
    readonly cpuMs: number
  }
}

/** A connection that is open through a fault proxy. */
export interface FaultProxyConnection extends ConnectionIdentity {
  /** When it was accepted, in milliseconds since the epoch. */
  readonly openedAt: number
  /** True when its messages cannot be seen: it is encrypted, or it is not PostgreSQL's protocol. */
  readonly opaque: boolean
  /** The ways on which nothing passes at present. */
  readonly stalled: { readonly toServer: boolean; readonly toClient: boolean }
}
