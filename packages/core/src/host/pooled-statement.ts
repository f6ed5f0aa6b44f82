import type { Limit } from '../base/limit.js'
import { nextMicrotask } from '../base/own-timers.js'
import { classify, endsSession } from '../errors/classify.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { Holder } from '../pool/waiter.js'
import { Statement, type StatementConfig } from '../wire/statement.js'

/** Who finds a connection for a statement. */
export interface Placement {
  begin(statement: PooledStatement): void
  /** Whether a statement that was sent may be sent again, its connection being lost. */
  mayRepeat(text: string): boolean
}

/** A statement that runs on whatever connection the pool has for it. */
export class PooledStatement extends Statement {
  readonly limit: Limit
  readonly holder: Holder | undefined
  readonly #placement: Placement
  /** A read is sent once more, and not again: a statement that ends its own session must not end one after the other. */
  #wasRepeated = false

  constructor(config: StatementConfig, limit: Limit, holder: Holder | undefined, placement: Placement) {
    super(config)
    this.limit = limit
    this.holder = holder
    this.#placement = placement
  }

  override answer(error: unknown): void {
    if (error !== undefined && this.givenUp === undefined && this.#runsAgain(error)) {
      // The connection had died: that is the pool's affair, not the caller's. Not from in here, as the pool may be in the
      // middle of taking leave of that connection.
      nextMicrotask(() => {
        this.reset()
        this.#placement.begin(this)
      })
    } else super.answer(error)
  }

  /** Nothing of it has run; or it only reads, and was sent for the first time. */
  #runsAgain(error: unknown): boolean {
    const isLost = error instanceof ConnectionLostError
    if (isLost && !error.sent) return true
    // The server says that it ends the session, or nothing any more.
    if (!isLost && !(endsSession(error) && classify(error) === 'connection')) return false
    if (this.#wasRepeated || !this.#placement.mayRepeat(this.text)) return false
    this.#wasRepeated = true
    return true
  }
}
