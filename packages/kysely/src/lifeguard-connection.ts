import type {
  BeginOptions,
  ControlledTransaction,
  OperationOptions,
  Pool,
  PooledConnection,
  Queryable,
  Transaction,
} from '@pg-lifeguard/core'
import type { CompiledQuery, ControlConnectionProvider, DatabaseConnection, QueryResult } from 'kysely'

/** What Kysely's options for one operation say to the pool. */
type Abortable = Pick<OperationOptions, 'signal'>

/**
 * - `lazy`: nothing is taken from the pool; a query runs wherever the pool puts it, in the ambient transaction if any.
 * - `held`: a connection of one's own, taken by the first query and kept until Kysely releases it.
 * - `transaction`: pinned to a transaction that Kysely ends.
 * - `adopted`: pinned to a transaction that the core ends.
 */
type Target =
  | { readonly kind: 'lazy' }
  | { readonly kind: 'held'; readonly connection: PooledConnection }
  | { readonly kind: 'transaction'; readonly transaction: ControlledTransaction }
  | { readonly kind: 'adopted'; readonly transaction: Transaction }

const counted: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** What Kysely takes for a connection. Nothing is taken from the pool before the first statement. */
export class LifeguardConnection implements DatabaseConnection {
  readonly #pool: Pool
  #target: Target = { kind: 'lazy' }
  /** Aborts the query that runs now on the server; there while Kysely may ask for that. */
  #inflight: AbortController | undefined
  #pid: number | undefined

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async begin(options: BeginOptions): Promise<void> {
    this.#target = { kind: 'transaction', transaction: await this.#pool.beginTransaction(options) }
  }

  adopt(transaction: Transaction): void {
    this.#target = { kind: 'adopted', transaction }
  }

  async commit(): Promise<void> {
    const target = this.#target
    if (target.kind === 'transaction') await target.transaction.commit()
  }

  async rollback(): Promise<void> {
    const target = this.#target
    if (target.kind === 'transaction') await target.transaction.rollback()
  }

  async release(): Promise<void> {
    const target = this.#target
    this.#target = { kind: 'lazy' }
    if (target.kind === 'held') target.connection.release()
    else if (target.kind === 'transaction') await target.transaction.rollback()
  }

  async executeQuery<R>(query: CompiledQuery, options?: Abortable): Promise<QueryResult<R>> {
    // Kysely's own strategy decides what an abort does to a query that runs: see cancelQuery and killSession.
    const inflight = options?.signal === undefined ? undefined : new AbortController()
    this.#inflight = inflight
    try {
      const on = await this.#queryable(options)
      const statement = { text: query.sql, values: query.parameters }
      const { command, rowCount, rows } = await on.query<R>(
        statement,
        inflight === undefined ? undefined : { signal: inflight.signal },
      )
      return counted.has(command) && rowCount !== null ? { numAffectedRows: BigInt(rowCount), rows } : { rows }
    } finally {
      if (this.#inflight === inflight) this.#inflight = undefined
    }
  }

  async *streamQuery<R>(
    query: CompiledQuery,
    chunkSize: number,
    options?: Abortable,
  ): AsyncIterableIterator<QueryResult<R>> {
    const target = this.#target
    const on = target.kind === 'transaction' || target.kind === 'adopted' ? target.transaction : this.#pool
    const statement = { text: query.sql, values: query.parameters }
    for await (const rows of on.streamBatches<R>(statement, { batchSize: chunkSize, signal: options?.signal })) {
      yield { rows }
    }
  }

  async collectSessionInfo(): Promise<void> {
    const { rows } = await (await this.#queryable()).query<{ pid: number }>('select pg_backend_pid() as pid')
    this.#pid = rows[0]?.pid
  }

  /** A CancelRequest to the server, over the TLS settings of the connection; no second connection of the pool. */
  async cancelQuery(): Promise<void> {
    this.#inflight?.abort()
  }

  async killSession(provide: ControlConnectionProvider): Promise<void> {
    const pid = this.#pid
    if (pid === undefined || this.#inflight === undefined) return
    await provide(async (connection) => {
      if (!(connection instanceof LifeguardConnection)) throw new Error('bug: a connection of another driver')
      await connection.#pool.query('select pg_terminate_backend($1)', [pid])
    })
  }

  /** Kysely asks for one connection for a single query and for `db.connection()` alike, so it is kept until released. */
  async #queryable(options?: Abortable): Promise<Queryable> {
    const target = this.#target
    if (target.kind === 'held') return target.connection
    if (target.kind !== 'lazy') return target.transaction
    const { currentTransaction } = this.#pool
    if (currentTransaction !== undefined) return currentTransaction
    const connection = await this.#pool.acquire(options?.signal === undefined ? undefined : { signal: options.signal })
    this.#target = { kind: 'held', connection }
    return connection
  }
}
