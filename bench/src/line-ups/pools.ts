import type { LineUp } from '../line-up.js'
import { lifeguard } from '../peers/lifeguard.js'
import { pgPipelined } from '../peers/pg-pipelined.js'
import { pgPool, pgPoolNamed } from '../peers/pg-pool.js'
import { postgresJs } from '../peers/postgres-js.js'
import { slonik } from '../peers/slonik.js'

/** Lifeguard beside other pools. A new peer is a file in peers/ and a line here. */
export const pools: LineUp = {
  name: 'pools',
  peers: [lifeguard, pgPool, pgPoolNamed, postgresJs, slonik, pgPipelined],
  subject: lifeguard.name,
  yardstick: pgPool.name,
}
