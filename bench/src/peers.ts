import type { Peer } from './peer.js'
import { lifeguard } from './peers/lifeguard.js'
import { pgPipelined } from './peers/pg-pipelined.js'
import { pgPool, pgPoolNamed } from './peers/pg-pool.js'
import { postgresJs } from './peers/postgres-js.js'
import { slonik } from './peers/slonik.js'

/** The columns of the table, in this order. A new peer is a file in peers/ and a line here. */
export const peers: readonly Peer[] = [lifeguard, pgPool, pgPoolNamed, postgresJs, slonik, pgPipelined]

/** The ratio of every row is between these two. */
export const subject = lifeguard.name
export const yardstick = pgPool.name
