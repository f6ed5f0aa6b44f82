import { type ManualTransaction, OperationAbortedError, type Queryable } from '@pg-lifeguard/core'
import { inheritOrigin } from '@pg-lifeguard/core/adapter'
import type { SqlQuery, SqlResultSet, Transaction, TransactionOptions } from '@prisma/driver-adapter-utils'
import { asDriverError, withDriverErrors } from './driver-error.js'
import { executeRaw, queryRaw } from './run-statement.js'

const endedByPrisma = 'Prisma ended the transaction: its timeout, or a failure beside this statement'

/**
 * A transaction as Prisma's engine uses it. The engine sends no COMMIT and no ROLLBACK of its own here, see `options`:
 * it calls `commit` and `rollback`, and the core does it, and says what became of it.
 */
export class LifeguardTransaction implements Transaction {
  readonly provider = 'postgres'
  readonly adapterName = '@pg-lifeguard/prisma'
  readonly options: TransactionOptions = { usePhantomQuery: true }
  readonly #on: Queryable
  /** The transaction to end; undefined when the core, which has begun it, ends it too. */
  readonly #own: ManualTransaction | undefined
  /** Aborts what runs when the transaction is rolled back under it, as by Prisma's own timeout. */
  readonly #ended = new AbortController()

  constructor(on: Queryable, own?: ManualTransaction) {
    this.#on = on
    this.#own = own
  }

  queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return this.#told(queryRaw(this.#on, query, { signal: this.#ended.signal }))
  }

  executeRaw(query: SqlQuery): Promise<number> {
    return this.#told(executeRaw(this.#on, query, { signal: this.#ended.signal }))
  }

  async commit(): Promise<void> {
    await withDriverErrors(async () => this.#own?.commit())
  }

  /** What runs is cancelled on the server first: nobody waits for it any more. */
  async rollback(): Promise<void> {
    this.#ended.abort(new Error(endedByPrisma))
    await this.#own?.rollback()
  }

  /** Whoever waits for a statement under which Prisma has ended the transaction has not aborted it himself. */
  async #told<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked
    } catch (error) {
      const { signal } = this.#ended
      if (!(error instanceof OperationAbortedError) || !signal.aborted || error.cause !== signal.reason) throw error
      const told = new OperationAbortedError(error.outcome, { cause: error.cause, by: endedByPrisma })
      inheritOrigin(told, error)
      throw asDriverError(told)
    }
  }

  async createSavepoint(name: string): Promise<void> {
    await this.#command(`savepoint ${name}`)
  }

  async rollbackToSavepoint(name: string): Promise<void> {
    await this.#command(`rollback to savepoint ${name}`)
  }

  async releaseSavepoint(name: string): Promise<void> {
    await this.#command(`release savepoint ${name}`)
  }

  /** The engine makes up the names, of letters, digits and underscores. */
  async #command(sql: string): Promise<void> {
    await this.executeRaw({ sql, args: [], argTypes: [] })
  }
}
