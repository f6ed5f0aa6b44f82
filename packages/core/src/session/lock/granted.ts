/** Whether others may hold the lock at the same time: none (`exclusive`), or others that are `shared` as well. */
export type LockMode = 'exclusive' | 'shared'

/** Which grant of a lock this is, in the order of all grants. */
export interface FencingToken {
  /** The server's timeline; a promotion starts a new one. */
  readonly timeline: number
  /** The transaction id that was drawn after the lock had been granted. */
  readonly xid: bigint
}
