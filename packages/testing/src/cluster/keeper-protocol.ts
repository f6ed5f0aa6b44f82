import type { WireError } from './wire-error.js'

/** How a server is asked to go: wait for sessions to end, end them, or drop everything at once. */
export type StopMode = 'smart' | 'fast' | 'immediate'

/** Everything the keeper has to know to build a cluster. */
export interface ClusterSpec {
  readonly replicas: number
  readonly port: number | undefined
  readonly password: string
  readonly settings: Readonly<Record<string, string>>
  readonly replicaSettings: Readonly<Record<string, string>>
  readonly binaries: string | undefined
}

export interface CreatedServer {
  readonly name: string
  readonly port: number
  readonly pid: number
}

/** What can be asked of the keeper, and what it answers. To end it, the channel is closed: its exit is the answer. */
export interface KeeperOperations {
  create: { request: { readonly spec: ClusterSpec }; response: { readonly servers: readonly CreatedServer[] } }
  start: { request: { readonly server: string; readonly timeoutMs: number }; response: { readonly pid: number } }
  stop: {
    request: { readonly server: string; readonly mode: StopMode; readonly timeoutMs: number }
    response: Record<string, never>
  }
  kill: { request: { readonly server: string }; response: Record<string, never> }
  log: { request: { readonly server: string }; response: { readonly lines: readonly string[] } }
}

export type KeeperOperation = keyof KeeperOperations

export type KeeperRequest = {
  [Op in KeeperOperation]: { readonly id: number; readonly op: Op } & KeeperOperations[Op]['request']
}[KeeperOperation]

export type KeeperMessage =
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: WireError }
  /** The cluster's folder exists from here on: who outlives the keeper knows what to remove. */
  | { readonly kind: 'folder'; readonly folder: string }
  /** A server process ended, asked for or not. */
  | { readonly kind: 'exit'; readonly server: string; readonly pid: number }
