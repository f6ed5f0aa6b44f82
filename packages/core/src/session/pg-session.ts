import type { Limit } from '../base/limit.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { TransactionRolledBackError } from '../errors/transaction-errors.js'
import type { ConnectionSlot, Host } from '../host/host.js'
import type { Connection } from '../wire/connection.js'
import { ForeignStatement, type Submittable } from '../wire/foreign-statement.js'
import type { QueryResult } from '../wire/query-result.js'
import { Statement, type StatementConfig } from '../wire/statement.js'
import { transactionControl } from '../wire/transaction-control.js'
import { commitError } from './commit-error.js'
import { Guests } from './guests.js'

/** What a client with the shape of pg's runs on. */
export interface PgSession {
  readonly connection: Connection
  /** Set by the client: called when the session ends by itself. */
  onEnded?: (() => void) | undefined
  run(config: StatementConfig, limit: Limit): Promise<QueryResult>
  /** @param told what the Submittable is told of a failure in its place */
  submit(submittable: Submittable, limit: Limit, told?: (error: unknown) => unknown): Promise<void>
  /** Closes the connection under it, where it is its own. */
  close(): Promise<void>
  /** No further use. `discard`: nobody else shall use the connection either, where it is its own. */
  end(discard: boolean): void
}

/**
 * A connection out of the pool for somebody who begins and ends transactions by SQL. It mends what programs written for
 * `pg` do: a BEGIN that fails before they guard it leaks nothing, a ROLLBACK never hides the error that led to it, and
 * a COMMIT that committed nothing is an error.
 */
export class OwnSession implements PgSession {
  readonly connection: Connection
  onEnded: (() => void) | undefined
  readonly #host: Host
  #slot: ConnectionSlot | undefined
  readonly #guests = new Guests()
  #isUsed = false
  /** The first statement that failed in the open transaction. */
  #failure: unknown

  constructor(host: Host, slot: ConnectionSlot) {
    this.#host = host
    this.#slot = slot
    this.connection = slot.resource
  }

  async run(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    const control = transactionControl(config.text)
    if (control?.kind === 'rollback' && !control.chain) return await this.#rollback(config, limit)
    const isFirst = this.#isUsed === false
    this.#isUsed = true
    if (this.#slot === undefined) throw new ConnectionReleasedError()
    if (control?.kind === 'begin') this.#failure = undefined
    try {
      const result = await this.connection.run(new Statement(config), limit)
      if (control?.kind === 'commit' && result.command === 'ROLLBACK') {
        throw new TransactionRolledBackError({ cause: this.#failure })
      }
      return result
    } catch (error) {
      this.#failure ??= error
      // Programs write BEGIN before the `try` whose `finally` releases: with nothing begun, there is nothing to keep.
      if (control?.kind === 'begin' && (isFirst || !this.connection.isAlive)) {
        // First: the next one to have the connection may be given it in the very call that gives it back.
        this.onEnded?.()
        this.end(false)
      }
      throw control?.kind === 'commit' && !this.connection.isAlive ? commitError(error) : error
    }
  }

  async submit(submittable: Submittable, limit: Limit, told?: (error: unknown) => unknown): Promise<void> {
    this.#isUsed = true
    await this.#guests.run(submittable, (guest) => this.connection.submit(guest, limit), told)
  }

  close(): Promise<void> {
    return closeAtOnce(this.connection)
  }

  end(discard: boolean): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    this.#guests.leave(this.connection)
    if (discard) this.#host.pool.discard(slot)
    else this.#host.release(slot)
  }

  /** Whatever comes of it, nothing is left of the transaction: where the server does not answer, the session is ended. */
  async #rollback(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    if (this.#slot === undefined || !this.connection.isAlive) return answered('ROLLBACK')
    try {
      return await this.connection.run(new Statement(config), limit)
    } catch {
      this.connection.destroy()
      return answered('ROLLBACK')
    }
  }
}

/** A connection as such, whoever has it now: for those who prepare every new one for its users. */
export function standing(connection: Connection): PgSession {
  return {
    connection,
    run: (config, limit) => connection.run(new Statement(config), limit),
    submit: (submittable, limit, told) => connection.submit(new ForeignStatement(submittable, told), limit),
    close: () => closeAtOnce(connection),
    end: () => undefined,
  }
}

/** As with `pg`: what runs is broken off, as it might never end. */
function closeAtOnce(connection: Connection): Promise<void> {
  if (connection.isQuiet) return connection.close()
  connection.destroy()
  return connection.gone()
}

/** What the server would have answered. */
export function answered(command: string): QueryResult {
  return { command, rows: [], rowCount: null, fields: [] }
}
