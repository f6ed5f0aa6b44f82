import type { LineUp } from '../line-up.js'
import { loadedLate } from '../peer.js'

const subject = 'lifeguard'
const yardstick = 'pg.Pool'

/** Lifeguard beside other pools. A new peer is a file in peers/ and a line here. */
export const pools: LineUp = {
  name: 'pools',
  peers: [
    loadedLate(subject, async () => (await import('../peers/lifeguard.js')).openLifeguard),
    loadedLate(yardstick, async () => (await import('../peers/pg-pool.js')).openPgPool),
    loadedLate('pg.Pool named', async () => (await import('../peers/pg-pool.js')).openPgPoolNamed),
    loadedLate('postgres.js', async () => (await import('../peers/postgres-js.js')).openPostgresJs),
    loadedLate('slonik', async () => (await import('../peers/slonik.js')).openSlonik),
    loadedLate('pg pipelined', async () => (await import('../peers/pg-pipelined.js')).openPgPipelined),
  ],
  subject,
  yardstick,
}
