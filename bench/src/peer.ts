import type { RowsTable } from './rows-tables.js'

/**
 * One way to talk to PostgreSQL, opened for one case. What a peer has no word for it leaves out, and the cases that
 * need it are run without that peer.
 */
export interface Session {
  /** Takes a connection out of the pool and gives it back. */
  acquireRelease?(): Promise<unknown>
  /** Takes a connection, has the server work on it for `turnMs`, and gives it back. */
  turn?(): Promise<unknown>
  /** One row of `item` by its primary key; resolves with the value of `note`. */
  select?(id: number): Promise<unknown>
  /** The same in the words of an ORM that merges the selects of one tick into one query, but not these. */
  selectFirst?(id: number): Promise<unknown>
  /**
   * A transaction with so many updates in it, which leave each note as it was. Each is awaited before the next is asked
   * for where the peer allows it.
   */
  transaction?(statements: number): Promise<unknown>
  /** Takes an exclusive advisory lock on a session and gives it back. */
  lock?(): Promise<unknown>
  /** Reads the counter and writes it one higher, in a serializable transaction that is run again until it commits. */
  increment?(): Promise<unknown>
  /** Inserts one row into `sink`. */
  insert?(row: SinkRow): Promise<unknown>
  /** Inserts these rows, a statement each, in one round trip and all or nothing. */
  insertBatch?(rows: readonly SinkRow[]): Promise<unknown>
  /** Inserts these rows by COPY; they are made one at a time, as they are asked for. */
  copyIn?(rows: Iterable<SinkRow>): Promise<unknown>
  /** Reads so many rows one by one, without holding all of them; resolves with the sum of their first column. */
  stream?(rows: number): Promise<number>
  /** Reads all rows of a table with one query, over and over, and holds them until the last has come. */
  rows?(order: RowsOrder): Promise<RowsLoad>
  /** The same once; resolves with the most memory that the process which reads them ever had, in MB. */
  rowsPeak?(table: RowsTable): Promise<number>
  /** The first query of a pool that has just been made, and its end. */
  coldSelect?(id: number): Promise<unknown>
  /** Closes every connection. */
  end(): Promise<unknown>
}

/** A row to be inserted. */
export type SinkRow = readonly [id: number, body: string]

/** How rows are to be read: by so many callers at the same time, for so long. */
export interface RowsOrder {
  readonly table: RowsTable
  readonly callers: number
  readonly ms: number
}

/** What was read, and the processor time that it cost the process which read it. */
export interface RowsLoad {
  readonly rows: number
  readonly elapsedMs: number
  readonly cpuUs: number
}

/** A word of {@link Session} that cases measure. */
export type Ability = Exclude<keyof Session, 'end'>

/** Something to compare. One file each in peers/. */
export interface Peer {
  /** As it stands at the head of its column. */
  readonly name: string
  /**
   * Of a program outside of Node, which is measured only when it is asked for: says what it needs that is not installed;
   * undefined for nothing.
   */
  missing?(): string | undefined
  open(url: string, connections: number): Promise<Session> | Session
}

/** A peer whose code is loaded when it is opened: by its own processes alone, so that it is not in any other's memory. */
export function loadedLate(name: string, load: () => Promise<Peer['open']>): Peer {
  return { name, open: async (url, connections) => (await load())(url, connections) }
}
