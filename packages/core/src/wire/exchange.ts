import { type Prelude, type QueryResult, Statement, type StatementConfig } from './statement.js'

/**
 * Something that talks to the server in a way of its own, in place of one statement: a batch, a COPY. It needs a
 * connection for itself, and it brings what goes ahead of it (BEGIN, SAVEPOINT) in its own first trip.
 */
export interface ExchangeConfig extends StatementConfig {
  /** Makes the exchange; called once, when its connection is there. */
  readonly exchange: (preludes: readonly Prelude[]) => Statement
}

/** What runs on a connection for this configuration. */
export function statementFrom(config: StatementConfig | ExchangeConfig, preludes: readonly Prelude[]): Statement {
  return 'exchange' in config ? config.exchange(preludes) : new Statement(config, preludes)
}

/** An exchange answers with an object of its own in the place of one result. */
export function resultOf<T>(result: QueryResult): T {
  return result as unknown as T
}
