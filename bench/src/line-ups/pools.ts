import type { LineUp } from '../line-up.js'

const subject = 'lifeguard'
const yardstick = 'pg.Pool'

/**
 * Lifeguard beside other pools. A new peer is a file in peers/ and a line here. Each is loaded by its own processes
 * alone, so that its code is not in the memory of any other's.
 */
export const pools: LineUp = {
  name: 'pools',
  peers: [
    {
      name: subject,
      open: async (url, connections) => (await import('../peers/lifeguard.js')).openLifeguard(url, connections),
    },
    {
      name: yardstick,
      open: async (url, connections) => (await import('../peers/pg-pool.js')).openPgPool(url, connections),
    },
    {
      name: 'pg.Pool named',
      open: async (url, connections) => (await import('../peers/pg-pool.js')).openPgPoolNamed(url, connections),
    },
    {
      name: 'postgres.js',
      open: async (url, connections) => (await import('../peers/postgres-js.js')).openPostgresJs(url, connections),
    },
    {
      name: 'slonik',
      open: async (url, connections) => (await import('../peers/slonik.js')).openSlonik(url, connections),
    },
    {
      name: 'pg pipelined',
      open: async (url, connections) => (await import('../peers/pg-pipelined.js')).openPgPipelined(url, connections),
    },
  ],
  subject,
  yardstick,
}
