import { type BeginOptions, type IsolationLevel, type Pool, TransactionRolledBackError } from '@pg-lifeguard/core'
import type { AdapterPool } from '@pg-lifeguard/core/adapter'
import { CompiledQuery, type DatabaseConnection, PostgresDriver, type TransactionSettings } from 'kysely'
import { LifeguardConnection } from './lifeguard-connection.js'

/**
 * Kysely's driver over the pool. A connection is lazy: Kysely asks for one before it knows the query, the pool gives
 * one when the first statement runs. Savepoints are as in Kysely's own driver for PostgreSQL.
 */
export class LifeguardDriver extends PostgresDriver {
  readonly #pool: Pool
  readonly #adapterPool: AdapterPool
  readonly #endPool: boolean

  constructor(adapterPool: AdapterPool, endPool: boolean) {
    const { pool } = adapterPool
    super({ pool: async () => pool.asPgPool() })
    this.#pool = pool
    this.#adapterPool = adapterPool
    this.#endPool = endPool
  }

  override async init(): Promise<void> {
    // Nothing to set up: the pool connects by itself.
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    return new LifeguardConnection(this.#adapterPool)
  }

  override async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const adopted = this.#adapterPool.takeAdopted()
    if (adopted !== undefined) return own(connection).adopt(adopted)
    own(connection).instead(() => own(connection).begin(beginOptions(settings)))
    await super.beginTransaction(connection, settings)
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await end(connection, 'commit')
    } catch (error) {
      own(connection).failed(error instanceof TransactionRolledBackError && (await this.#tellAborted(error)))
      throw error
    }
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await end(connection, 'rollback')
    } catch (error) {
      own(connection).failed(true)
      throw error
    }
  }

  /**
   * Kysely knows its AbortedTransactionError by a symbol, and exports neither. So its own driver is shown the answer that
   * stands for it, and what that throws lends its mark. False when this version of Kysely knows no such error.
   */
  async #tellAborted(error: TransactionRolledBackError): Promise<boolean> {
    const rolledBack = { executeQuery: async () => ({ rows: [{ command: 'ROLLBACK' }] }) }
    const theirs: unknown = await super
      .commitTransaction(rolledBack as unknown as DatabaseConnection)
      .catch((reason: unknown) => reason)
    const marks = theirs instanceof Error ? Object.getOwnPropertySymbols(theirs) : []
    for (const mark of marks) Object.defineProperty(error, mark, { value: true, configurable: true })
    return marks.length > 0
  }

  override async releaseConnection(connection: DatabaseConnection): Promise<void> {
    await own(connection).release()
  }

  override async destroy(): Promise<void> {
    if (this.#endPool) await this.#pool.end()
  }
}

function own(connection: DatabaseConnection): LifeguardConnection {
  if (!(connection instanceof LifeguardConnection)) throw new Error('bug: a connection of another driver')
  return connection
}

/** By way of a query, which Kysely logs; not of a transaction that the core ends, as nothing has been done yet. */
async function end(connection: DatabaseConnection, how: 'commit' | 'rollback'): Promise<void> {
  const ours = own(connection)
  if (ours.isAdopted) return await ours[how]()
  ours.instead(() => ours[how]())
  await connection.executeQuery(CompiledQuery.raw(how))
}

function beginOptions({ isolationLevel, accessMode }: TransactionSettings): BeginOptions {
  const isolation = isolationLevel as IsolationLevel | undefined // of Kysely's levels only 'snapshot' is none
  return { isolation, readOnly: accessMode === undefined ? undefined : accessMode === 'read only' }
}
