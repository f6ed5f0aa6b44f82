import type { LineUp } from './line-up.js'
import type { Ability, Session } from './peer.js'
import type { RowsTable } from './rows-tables.js'

/** What a reading may use. */
export interface Bench {
  /** How long one reading is to take, in milliseconds. */
  readonly ms: number
  /** The milliseconds that one statement takes on an idle connection of its own, now: what a round trip costs here. */
  measureRoundTrip(): Promise<number>
  /** Empties the table that rows are inserted into; how many it had. */
  emptySink(): Promise<number>
  /** What the counter of the increments says. */
  readCounter(): Promise<number>
}

/** One row of the table. One file in cases/ for each question, which may have several sizes. */
export interface Case {
  /** How it is named on the command line and in the output. */
  readonly name: string
  readonly unit: 'ops/s' | 'rows/s' | 'ns' | 'us' | 'ms' | 'MB' | 'round trips'
  /** Which way is good. */
  readonly better: 'higher' | 'lower'
  /** Whom it compares. */
  readonly lineUp: LineUp
  /** Peers that cannot do it are left out of the row. */
  readonly needs: readonly Ability[]
  readonly connections: number
  /** Peers that get another number of them. */
  readonly connectionsOf?: Readonly<Record<string, number>>
  /** Milliseconds that the network adds to a round trip; 0 goes straight to the server. */
  readonly roundTripMs: number
  /** What it reads, if not what every case finds: made before it is measured. */
  readonly table?: RowsTable
  /** Left out of `--quick`. */
  readonly slow?: boolean
  /** One reading is the whole of it, however long: nothing shorter warms up or leads in. */
  readonly readsWhole?: boolean
  /** One reading takes so long that more rounds than these are not worth it. */
  readonly mostRounds?: number
  /** One reading, in the case's unit. */
  read(session: Session, bench: Bench): Promise<number>
}
