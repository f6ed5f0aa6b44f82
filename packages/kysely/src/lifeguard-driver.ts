import type { BeginOptions, IsolationLevel, Pool } from '@pg-lifeguard/core'
import { CompiledQuery, type DatabaseConnection, PostgresDriver, type TransactionSettings } from 'kysely'
import { LifeguardConnection } from './lifeguard-connection.js'

/**
 * Kysely's driver over the pool. A connection is lazy: Kysely asks for one before it knows the query, the pool gives
 * one when the first statement runs. Savepoints are as in Kysely's own driver for PostgreSQL.
 */
export class LifeguardDriver extends PostgresDriver {
  readonly #pool: Pool
  readonly #endPool: boolean

  constructor(pool: Pool, endPool: boolean) {
    super({ pool: async () => pool.asPgPool() })
    this.#pool = pool
    this.#endPool = endPool
  }

  override async init(): Promise<void> {
    // Nothing to set up: the pool connects by itself.
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    return new LifeguardConnection(this.#pool)
  }

  override async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const adopted = this.#pool.takeAdopted()
    if (adopted !== undefined) return own(connection).adopt(adopted)
    own(connection).instead(() => own(connection).begin(beginOptions(settings)))
    await super.beginTransaction(connection, settings)
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await end(connection, 'commit')
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await end(connection, 'rollback')
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
