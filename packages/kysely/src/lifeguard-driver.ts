import { type BeginOptions, InvalidOptionError, type IsolationLevel, type Pool } from '@pg-lifeguard/core'
import type { DatabaseConnection, Driver, QueryCompiler, TransactionSettings } from 'kysely'
import { IdentifierNode, RawNode } from 'kysely'
import { LifeguardConnection } from './lifeguard-connection.js'

/**
 * Kysely's driver over the pool. A connection is lazy: Kysely asks for one before it knows the query, the pool gives
 * one when the first statement runs.
 */
export class LifeguardDriver implements Driver {
  readonly #pool: Pool
  readonly #endPool: boolean

  constructor(pool: Pool, endPool: boolean) {
    this.#pool = pool
    this.#endPool = endPool
  }

  async init(): Promise<void> {
    // Nothing to set up: the pool connects by itself.
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return new LifeguardConnection(this.#pool)
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const adopted = this.#pool.takeAdopted()
    if (adopted !== undefined) own(connection).adopt(adopted)
    else await own(connection).begin(beginOptions(settings))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).rollback()
  }

  async savepoint(connection: DatabaseConnection, name: string, compile: QueryCompiler['compileQuery']): Promise<void> {
    await connection.executeQuery(compile(savepointCommand('savepoint', name), { queryId: name }))
  }

  async rollbackToSavepoint(
    connection: DatabaseConnection,
    name: string,
    compile: QueryCompiler['compileQuery'],
  ): Promise<void> {
    await connection.executeQuery(compile(savepointCommand('rollback to savepoint', name), { queryId: name }))
  }

  async releaseSavepoint(
    connection: DatabaseConnection,
    name: string,
    compile: QueryCompiler['compileQuery'],
  ): Promise<void> {
    await connection.executeQuery(compile(savepointCommand('release savepoint', name), { queryId: name }))
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    await own(connection).release()
  }

  async destroy(): Promise<void> {
    if (this.#endPool) await this.#pool.end()
  }
}

function own(connection: DatabaseConnection): LifeguardConnection {
  if (!(connection instanceof LifeguardConnection)) throw new Error('bug: a connection of another driver')
  return connection
}

/** The name goes through Kysely's compiler as an identifier, which quotes it. */
function savepointCommand(command: string, name: string): RawNode {
  return RawNode.create([`${command} `, ''], [IdentifierNode.create(name)])
}

function beginOptions({ isolationLevel, accessMode }: TransactionSettings): BeginOptions {
  if (isolationLevel === 'snapshot') {
    throw new InvalidOptionError(
      'isolationLevel',
      "'snapshot'",
      "'repeatable read', which is PostgreSQL's snapshot isolation",
    )
  }
  // PostgreSQL treats 'read uncommitted' as 'read committed': https://www.postgresql.org/docs/18/transaction-iso.html
  const isolation: IsolationLevel | undefined =
    isolationLevel === 'read uncommitted' ? 'read committed' : isolationLevel
  return { isolation, readOnly: accessMode === undefined ? undefined : accessMode === 'read only' }
}
