import type { Limit } from '../base/limit.js'
import type { ExchangeConfig } from '../wire/exchange.js'
import type { QueryResult } from '../wire/query-result.js'
import type { StatementConfig } from '../wire/statement.js'
import { Operations } from './operations.js'
import type { AmbientBounds, Executor } from './queryable.js'
import type { ControlledTransaction } from './transaction.js'

/** How a transaction, or a savepoint, is run and ended. */
export interface ByHand extends Executor {
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** A transaction as the one sees it who ends it. */
export class TransactionByHand extends Operations implements ControlledTransaction {
  readonly #under: ByHand

  constructor(bounds: AmbientBounds, under: ByHand) {
    super(bounds)
    this.#under = under
  }

  execute(config: StatementConfig | ExchangeConfig, limit: Limit): Promise<QueryResult> {
    return this.#under.execute(config, limit)
  }

  commit(): Promise<void> {
    return this.#under.commit()
  }

  rollback(): Promise<void> {
    return this.#under.rollback()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rollback()
  }
}
