import { type Limit, limitOf, type OperationOptions } from '../base/limit.js'
import type { QueryResult, StatementConfig } from '../wire/statement.js'
import { type QueryArguments, type Queryable, query } from './queryable.js'
import { ServerTransaction } from './server-transaction.js'
import type { SessionEnvironment } from './session-environment.js'
import type { BeginOptions } from './transaction-options.js'

/**
 * A transaction without a callback, to be ended by hand: what ORMs with a begin and a commit of their own stand on.
 * Prefer `withTransaction`, which cannot be forgotten and retries.
 */
export interface ControlledTransaction extends Queryable, AsyncDisposable {
  /** Commits. Rejects as `withTransaction` does, and only then was nothing, or nothing certain, committed. */
  commit(): Promise<void>
  /** Rolls back; harmless when the transaction is over. Leaving an `await using` block does the same. */
  rollback(): Promise<void>
}

/** How a controlled transaction begins, and how long it may live. */
export interface ControlledTransactionOptions extends BeginOptions, OperationOptions {}

/** Begins with the first statement, on a connection of its own; it is not ambient. */
export function beginTransaction(
  { ambient, host }: SessionEnvironment,
  options: ControlledTransactionOptions = {},
): ControlledTransaction & Executable {
  const { clock } = host.environment
  const server = new ServerTransaction(host, ambient.current?.holder ?? { held: 0 }, options, limitOf(options, clock))
  const transaction: ControlledTransaction & Executable = {
    query: <Row>(...args: QueryArguments) => query<Row>(transaction, clock, args),
    execute: (config, limit) => server.query(config, limit),
    commit: async () => {
      await server.settled()
      await server.commit()
    },
    rollback: () => server.rollback(),
    [Symbol.asyncDispose]: () => server.rollback(),
  }
  return transaction
}

interface Executable {
  execute(config: StatementConfig, limit: Limit): Promise<QueryResult>
}
