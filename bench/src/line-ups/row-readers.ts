import type { LineUp } from '../line-up.js'
import { missingOfClient, missingOfPgx } from '../outside/installed.js'
import { loadedLate, type Peer } from '../peer.js'
import { pools } from './pools.js'

/** Programs outside of Node, which show how fast it can be; measured only with `--limits`. */
const outside: readonly Peer[] = [
  {
    ...loadedLate('psql copy', async () => (await import('../outside/client-programs.js')).openPsql),
    missing: () => missingOfClient('psql'),
  },
  {
    ...loadedLate('pgbench', async () => (await import('../outside/client-programs.js')).openPgbench),
    missing: () => missingOfClient('pgbench'),
  },
  { ...loadedLate('pgx v4', async () => (await import('../outside/pgx.js')).openPgx), missing: missingOfPgx },
]

/** Who reads all rows of a query at once. */
export const rowReaders: LineUp = {
  ...pools,
  name: 'rows',
  // Bare clients of `pg` read as its pool does.
  peers: [...pools.peers.filter(({ name }) => name !== 'pg pipelined'), ...outside],
}
