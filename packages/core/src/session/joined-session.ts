import { type Limit, unlimited } from '../base/limit.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import type { Connection } from '../wire/connection.js'
import type { Submittable } from '../wire/foreign-statement.js'
import type { QueryResult } from '../wire/query-result.js'
import type { StatementConfig } from '../wire/statement.js'
import { type TransactionControl, transactionControl } from '../wire/transaction-control.js'
import type { OpenTransaction } from './ambient.js'
import { Guests } from './guests.js'
import { assertFits } from './nested-options.js'
import { answered, type PgSession } from './pg-session.js'
import type { ControlledTransaction } from './transaction.js'

/**
 * A client with the shape of pg's inside an open transaction: it runs on that transaction's connection, and what it
 * begins is a savepoint there.
 */
export class JoinedSession implements PgSession {
  readonly connection: Connection
  readonly #open: OpenTransaction
  readonly #guests = new Guests()
  #inner: ControlledTransaction | undefined
  /** Whether it tried to begin: a ROLLBACK behind a BEGIN or COMMIT that failed is clean-up, and has nothing to do. */
  #hasTried = false

  private constructor(open: OpenTransaction, connection: Connection) {
    this.#open = open
    this.connection = connection
  }

  /** Joins a transaction; BEGIN is sent for it, if that has not been done yet. */
  static async join(open: OpenTransaction, limit: Limit): Promise<JoinedSession> {
    if (open.server.connection === undefined) await open.execute({ text: '' }, limit)
    const { connection } = open.server
    if (connection === undefined) throw new Error('bug: a transaction runs on no connection')
    return new JoinedSession(open, connection)
  }

  async run(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    const control = transactionControl(config.text)
    if (control === undefined || (control.kind === 'begin' && !control.isValid))
      return await this.#execute(config, limit)
    if (control.kind === 'begin') return await this.#begin(control)
    if ((control.kind !== 'commit' && control.kind !== 'rollback') || control.chain) throw refusal(control.kind)
    const inner = this.#inner
    this.#inner = undefined
    if (control.kind === 'rollback') {
      if (inner === undefined && !this.#hasTried) throw refusal('rollback')
      await inner?.rollback()
      return answered('ROLLBACK')
    }
    if (inner === undefined) throw refusal('commit')
    await inner.commit()
    return answered('COMMIT')
  }

  async submit(submittable: Submittable, limit: Limit, told?: (error: unknown) => unknown): Promise<void> {
    await this.#guests.run(
      submittable,
      async (foreign) => {
        try {
          await this.#execute({ text: '', foreign } as StatementConfig, limit)
        } catch (error) {
          foreign.failed(error, !this.connection.isAlive)
          throw error
        }
      },
      told,
    )
  }

  /** The connection belongs to the transaction around it. */
  async close(): Promise<void> {
    this.end()
  }

  end(): void {
    this.#guests.leave(this.connection)
    const inner = this.#inner
    this.#inner = undefined
    void inner?.rollback()
  }

  async #begin(control: Extract<TransactionControl, { readonly kind: 'begin' }>): Promise<QueryResult> {
    // The server, too, lets a second BEGIN pass: it is in a transaction already.
    if (this.#inner !== undefined) return answered('BEGIN')
    this.#hasTried = true
    const { isolation, readOnly, deferrable } = control
    assertFits(
      {
        isolation,
        readOnly: readOnly === false && this.#open.begun.readOnly !== true ? undefined : readOnly,
        deferrable: deferrable === true ? true : undefined,
      },
      this.#open,
    )
    this.#inner = await this.#open.begin()
    return answered('BEGIN')
  }

  #execute(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    if (this.#inner === undefined || limit !== unlimited) return this.#open.execute(config, limit)
    return this.#inner.query(config) as Promise<QueryResult>
  }
}

/** What ends the transaction around a call, or does so in the midst of other statements, is not for those inside it. */
export function refusal(what: TransactionControl['kind']): InvalidOptionError {
  const said = what === 'mixed' ? 'one that begins or ends a transaction among others' : what.toUpperCase()
  return new InvalidOptionError(
    'the statement',
    said,
    'inside of an open transaction a plain BEGIN on a client of its own, which is a savepoint, and the COMMIT or ROLLBACK of that',
  )
}
