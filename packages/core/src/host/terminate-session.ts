import { Statement } from '../wire/statement.js'
import type { Host } from './host.js'

/** How long connecting and asking may take, in milliseconds. */
const boundMs = 5_000

/**
 * Ends a session on the server, over a connection beside the pool: in a pool that is full, or in the transaction of that
 * very session, the question would wait for what it is to end.
 * https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL
 */
export async function terminateSession(host: Host, pid: number): Promise<void> {
  const limit = { deadlineAt: host.environment.clock.now() + boundMs, timeoutMs: boundMs, signal: undefined }
  await host.aside(
    'terminate',
    async (connection) => {
      await connection.run(
        new Statement({ text: 'select pg_catalog.pg_terminate_backend($1::pg_catalog.int4)', values: [pid] }),
        limit,
      )
    },
    limit,
    true,
  )
}
