import type { Limit } from '../base/limit.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { Holder } from '../pool/waiter.js'
import { type ExchangeConfig, statementFrom } from '../wire/exchange.js'
import type { QueryResult } from '../wire/query-result.js'
import type { Host } from './host.js'

/** Runs an exchange on a connection that nobody else uses meanwhile: whatever is free, as `Host.query` does. */
export async function runExclusive(
  host: Host,
  config: ExchangeConfig,
  limit: Limit,
  holder: Holder | undefined,
): Promise<QueryResult> {
  for (;;) {
    const slot = host.tryTake(holder) ?? (await host.take(limit, holder))
    try {
      return await slot.resource.run(statementFrom(config, []), limit)
    } catch (error) {
      // The connection had died while it idled, and nothing was sent: that is the pool's affair, not the caller's.
      if (!(error instanceof ConnectionLostError) || error.sent) throw error
    } finally {
      host.release(slot)
    }
  }
}
