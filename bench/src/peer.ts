/**
 * One way to talk to PostgreSQL, opened for one case. What a peer has no word for it leaves out, and the cases that
 * need it are run without that peer.
 */
export interface Session {
  /** Takes a connection out of the pool and gives it back. */
  acquireRelease?(): Promise<unknown>
  /** One row of `item` by its primary key; resolves with the value of `note`. */
  select?(id: number): Promise<unknown>
  /** A transaction with so many updates in it, each awaited before the next is asked for where the peer allows it. */
  transaction?(statements: number): Promise<unknown>
  /** Takes an exclusive advisory lock on a session and gives it back. */
  lock?(): Promise<unknown>
  /** Reads the counter and writes it one higher, in a serializable transaction that is run again until it commits. */
  increment?(): Promise<unknown>
  /** Closes every connection. */
  end(): Promise<unknown>
}

/** A word of {@link Session} that cases measure. */
export type Ability = Exclude<keyof Session, 'end'>

/** Something to compare. One file each in peers/. */
export interface Peer {
  /** As it stands at the head of its column. */
  readonly name: string
  open(url: string, connections: number): Promise<Session> | Session
}
