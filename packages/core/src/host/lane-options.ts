import type { Duration, InMs } from '../base/duration.js'

/** How connections are shared while all are in use. */
export interface LaneOptions {
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
export type ResolvedLaneOptions = {
  readonly [K in keyof LaneOptions]-?: Exclude<InMs<LaneOptions>[K], undefined>
}

/** The defaults of {@link LaneOptions}. */
export const defaultLanes: ResolvedLaneOptions = { maxDepth: 16, maxBytes: 1_048_576, slowAfterMs: 20 }
