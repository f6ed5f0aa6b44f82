import type { Clock } from '../base/clock.js'
import { type Limit, tighter } from '../base/limit.js'
import { operationLimit } from '../errors/operation-limit.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import type { Connection } from '../wire/connection.js'
import { type ExchangeConfig, statementFrom } from '../wire/exchange.js'
import type { QueryResult } from '../wire/query-result.js'
import type { StatementConfig } from '../wire/statement.js'
import { type Bounds, type Executor, type QueryArguments, type Queryable, query } from './queryable.js'

/** A connection that has just been opened, and that nobody has used yet: see the option `onConnect`. */
export interface NewConnection extends Queryable {
  /** Process id of its backend, as in `pg_stat_activity`. */
  readonly pid: number
}

/** What the option `onConnect` may be; what it gives is awaited. */
export type OnConnect = (connection: NewConnection) => unknown

/** A connection while `onConnect` has it; refuses everything after. */
class ConnectionInPreparation implements NewConnection, Executor, Bounds {
  readonly #limit: Limit
  readonly #clock: Clock
  #connection: Connection | undefined

  constructor(connection: Connection, limit: Limit, clock: Clock) {
    this.#connection = connection
    this.#limit = limit
    this.#clock = clock
  }

  get pid(): number {
    return this.#held().pid
  }

  query<Row>(...args: readonly unknown[]): Promise<QueryResult<Row>> {
    return query<Row>(this, this, args as unknown as QueryArguments)
  }

  execute(config: StatementConfig | ExchangeConfig, limit: Limit): Promise<QueryResult> {
    return this.#held().run(statementFrom(config, []), limit)
  }

  limitFor(options: Parameters<Bounds['limitFor']>[0]): Limit {
    return tighter(operationLimit(options, this.#clock), this.#limit)
  }

  end(): void {
    this.#connection = undefined
  }

  #held(): Connection {
    if (this.#connection === undefined) throw new ConnectionReleasedError()
    return this.#connection
  }
}

/** What a host does with each new connection, out of what the user wants to be done with it. */
export function preparation(
  onConnect: OnConnect,
  clock: Clock,
): (connection: Connection, limit: Limit) => Promise<void> {
  return async (connection, limit) => {
    const lent = new ConnectionInPreparation(connection, limit, clock)
    try {
      await onConnect(lent)
      // What it has asked for and not waited for goes ahead of everybody else, too.
      await connection.whenQuiet()
    } finally {
      lent.end()
    }
  }
}
