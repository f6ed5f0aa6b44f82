import type { Limit } from '../base/limit.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { Holder } from '../pool/waiter.js'
import { Statement, type StatementConfig } from '../wire/statement.js'

/** Who finds a connection for a statement. */
export interface Placement {
  begin(statement: PooledStatement): void
}

/** A statement that runs on whatever connection the pool has for it. */
export class PooledStatement extends Statement {
  readonly limit: Limit
  readonly holder: Holder | undefined
  readonly #placement: Placement

  constructor(config: StatementConfig, limit: Limit, holder: Holder | undefined, placement: Placement) {
    super(config)
    this.limit = limit
    this.holder = holder
    this.#placement = placement
  }

  override answer(error: unknown): void {
    if (error instanceof ConnectionLostError && !error.sent && this.givenUp === undefined) {
      // The connection had died, and nothing has run: that is the pool's affair, not the caller's. Not from in here, as
      // the pool may be in the middle of taking leave of that connection.
      queueMicrotask(() => {
        this.reset()
        this.#placement.begin(this)
      })
    } else super.answer(error)
  }
}
