import type { Command } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import type { Deadline } from '../deadline/deadline.js'
import { runExclusive } from '../server/run-exclusive.js'
import { routingContextOf } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/**
 * Runs a command where it belongs: in the batch that is being collected around the call, in the transaction that is open
 * around it, or else on a server.
 */
export function executeJoined(
  environment: SessionEnvironment,
  command: Command,
  deadline: Deadline,
): Promise<QueryResult> {
  const { ambient, cluster, server } = environment
  const context = ambient.current
  if (context?.collecting !== undefined) return context.collecting.add(command)
  if (context?.transaction !== undefined) return context.transaction.execute(command, deadline)
  switch (command.kind) {
    case 'statement':
      if (cluster === undefined) return server.query(command.config, deadline, context?.holder)
      return cluster.execute(command.config, deadline, routingContextOf(context))
    case 'exchange': {
      const done = runExclusive(server, command, deadline, context?.holder)
      // What it writes is seen by the reads after it.
      const causality = cluster === undefined ? undefined : context?.causality
      return causality === undefined ? done : done.finally(() => causality.noteUnknown())
    }
    default:
      throw new Error(`bug: a command of the kind '${command.kind}' outside of a transaction`)
  }
}
