import type { Connection } from '../connection/connection.js'
import type { SchemaEpoch } from '../connection/statement-cache.js'
import type { BudgetShare } from '../resource-pool/budget.js'
import type { PrepareConnection } from './prepare-new.js'
import type { ResetMode } from './reset.js'

/** How connections are shared while all are in use: see the option `pipelining`. */
export interface ResolvedPipeliningOptions {
  /** Statements that one connection may have under way. */
  readonly maxDepth: number
  /** Bytes that one connection may have under way before it takes another statement. */
  readonly maxBytes: number
  /** When a statement counts as slow, on top of the shortest round trip seen. */
  readonly slowAfterMs: number
}

/** How statements outside of transactions are run. */
export interface StatementOptions {
  /** Statements that each connection keeps prepared; 0 for none. */
  readonly cacheSize: number
  /** Shared by the pools to all servers of one database. @default one of the server's own */
  readonly schema?: SchemaEpoch | undefined
  /** How connections are shared; undefined for never. */
  readonly pipelining: ResolvedPipeliningOptions | undefined
  /**
   * Whether an SQL text only reads, so that it is sent once more when its connection is lost before the answer; undefined
   * where nothing is.
   */
  readonly isRepeatable?: ((text: string) => boolean) | undefined
  /** Whether an SQL text only reads. @default none is known to */
  readonly onlyReads?: ((text: string) => boolean) | undefined
}

/** What a server is for, and how it keeps its connections. */
export interface ServerOptions {
  /** What is done to a connection that is released. @default no more than the next user needs */
  readonly resetMode?: ResetMode | undefined
  /** What is prepared, and which connections are shared. @default nothing and none */
  readonly statements?: StatementOptions | undefined
  /** Opens a connection. @default by the server's own configuration */
  readonly open?: ((signal?: AbortSignal) => Promise<Connection>) | undefined
  /** What is done with each new connection of the pool, before anybody has it. */
  readonly prepare?: PrepareConnection | undefined
  /** Whether callers that wait get the error of a failed attempt to open at once: there is another server to go to. */
  readonly failsFast?: boolean | undefined
  /** How long a caller waits for a server that is not there, when that is longer than for a busy pool; in milliseconds. */
  readonly unavailableTimeoutMs?: number | undefined
  /** The budget that its connections are taken from, shared with other pools. */
  readonly share?: BudgetShare | undefined
}
