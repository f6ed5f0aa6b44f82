import type { Peer } from './peer.js'

/** Peers that are measured beside each other, and the two that the ratio is between. */
export interface LineUp {
  /** What they are; rows of line-ups of one name stand in one table. */
  readonly name: string
  /** The columns, in this order. */
  readonly peers: readonly Peer[]
  /** The peer of ours: the ratio says how many times as good it is, */
  readonly subject: string
  /** as this one. */
  readonly yardstick: string
}
