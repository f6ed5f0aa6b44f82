import { type ExchangeCommand, operationFor } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import { Statement } from '../connection/statement.js'
import { Deadline } from '../deadline/deadline.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { Server } from './server.js'

/** How long connecting and asking may take, in milliseconds. */
const boundMs = 5_000

/**
 * Ends a session on the server, over a connection beside the pool: in a pool that is full, or in the transaction of that
 * very session, the statement would wait for what it is to end.
 * https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL
 */
export async function terminateSession(server: Server, pid: number): Promise<void> {
  const deadline = Deadline.after(boundMs, server.environment.clock)
  await server.runBeside(
    'terminate',
    async (connection) => {
      await connection.run(
        new Statement({ text: 'select pg_catalog.pg_terminate_backend($1::pg_catalog.int4)', values: [pid] }),
        deadline,
      )
    },
    deadline,
    true,
  )
}

/** Runs an exchange on a connection that nobody else uses meanwhile: whichever is free, as `Server.query` does. */
export async function runExclusive(
  server: Server,
  command: ExchangeCommand,
  deadline: Deadline,
  holder: WorkContext | undefined,
): Promise<QueryResult> {
  for (;;) {
    const slot = await server.acquire(deadline, holder)
    try {
      return await slot.resource.run(operationFor(command), deadline)
    } catch (error) {
      // The connection was lost while it idled, and nothing was sent: another one is used, unseen by the caller.
      if (!(error instanceof ConnectionLostError) || error.sent) throw error
    } finally {
      server.release(slot)
    }
  }
}
