import type { ExchangeConfig } from '../connection/exchange.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { runExclusive } from '../server/run-exclusive.js'
import { routingContextOf } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/**
 * Runs a statement where it belongs: in the batch that is being collected around the call, in the transaction that is open
 * around it, or else on a server.
 */
export function executeJoined(
  environment: SessionEnvironment,
  config: StatementConfig | ExchangeConfig,
  deadline: Deadline,
): Promise<QueryResult> {
  const { ambient, cluster, server } = environment
  const context = ambient.current
  if (context?.collecting !== undefined) return context.collecting.add(config as StatementConfig)
  if (context?.transaction !== undefined) return context.transaction.execute(config, deadline)
  if ('exchange' in config) {
    const done = runExclusive(server, config, deadline, context?.holder)
    // What it writes is seen by the reads after it.
    const causality = cluster === undefined ? undefined : context?.causality
    return causality === undefined ? done : done.finally(() => causality.noteUnknown())
  }
  if (cluster === undefined) return server.query(config, deadline, context?.holder)
  return cluster.execute(config, deadline, routingContextOf(context))
}
