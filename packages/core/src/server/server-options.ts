import type { Connection } from '../connection/connection.js'
import type { SchemaEpoch } from '../connection/statement-cache.js'
import type { Duration, InMs } from '../deadline/duration.js'
import type { BudgetShare } from '../resource-pool/budget.js'
import type { PrepareConnection } from './prepare-new.js'
import type { ResetMode } from './reset.js'

/** How connections are shared while all are in use. */
export interface PipeliningOptions {
  /**
   * Statements that one connection may have under way, `1` or more. The more, the less it has to wait for the network;
   * the longer may a statement have to wait behind others.
   *
   * @default 16
   */
  readonly maxDepth?: number | undefined
  /**
   * Bytes that one connection may have under way before it takes another statement, `1` or more. A statement that is
   * larger is sent all the same.
   *
   * @default 1048576 (1 MiB)
   */
  readonly maxBytes?: number | undefined
  /**
   * Milliseconds after which a statement counts as slow, on top of the shortest round trip seen: nothing more is sent
   * behind it, and its text gets a connection to itself for a while. `0` or more.
   *
   * @default 20
   */
  readonly slowAfterMs?: Duration | undefined
}

/** The same with the defaults filled in. */
export type ResolvedPipeliningOptions = {
  readonly [K in keyof PipeliningOptions]-?: Exclude<InMs<PipeliningOptions>[K], undefined>
}

/** The defaults of {@link PipeliningOptions}. */
export const defaultPipelining: ResolvedPipeliningOptions = { maxDepth: 16, maxBytes: 1_048_576, slowAfterMs: 20 }

/** How statements outside of transactions are run. */
export interface StatementOptions {
  /** Statements that each connection keeps prepared; 0 for none. */
  readonly cacheSize: number
  /** Shared by the pools to all servers of one database. @default one of the host's own */
  readonly schema?: SchemaEpoch | undefined
  /** How connections are shared; undefined for never. */
  readonly pipelining: ResolvedPipeliningOptions | undefined
  /**
   * Whether a text only reads, so that it is sent once more when its connection is lost before the answer; undefined where
   * nothing is.
   */
  readonly isRepeatable?: ((text: string) => boolean) | undefined
  /** Whether a text only reads. @default none is known to */
  readonly onlyReads?: ((text: string) => boolean) | undefined
}

/** What a host is for, and how it keeps its connections. */
export interface HostPurpose {
  /** What is done to a connection that comes back. */
  readonly resetMode?: ResetMode | undefined
  /** What is prepared, and which connections are shared; nothing and none when left out. */
  readonly statements?: StatementOptions | undefined
  /** Opens a connection; without it the host's own configuration says where. */
  readonly open?: ((signal?: AbortSignal) => Promise<Connection>) | undefined
  /** What is done with each new connection of the pool, before anybody has it. */
  readonly prepare?: PrepareConnection | undefined
  /** Whether a failed attempt to open is told to whoever waits at once: there is another host to go to. */
  readonly failsFast?: boolean | undefined
  /** How long a caller waits for a server that is not there, when that is longer than for a busy pool; in milliseconds. */
  readonly unavailableTimeoutMs?: number | undefined
  /** The budget that its connections are taken from, shared with other pools. */
  readonly share?: BudgetShare | undefined
}
