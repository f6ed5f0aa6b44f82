import type {
  BeginOptions,
  ControlledTransaction,
  QueryResult as CoreResult,
  OperationOptions,
  Pool,
  PooledConnection,
  Queryable,
  StatementConfig,
  Transaction,
} from '@pg-lifeguard/core'
import type { CompiledQuery, ControlConnectionProvider, DatabaseConnection, QueryResult } from 'kysely'
import { standsAlone } from './stands-alone.js'

/** What Kysely's options for one operation say to the pool. */
type Abortable = Pick<OperationOptions, 'signal'>

const counted: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * What Kysely takes for a connection. Nothing is taken from the pool before the first statement, and then only for one
 * that needs a session of its own.
 */
export class LifeguardConnection implements DatabaseConnection {
  readonly #pool: Pool
  /** A session of one's own, from the first statement that needs one until Kysely releases it. */
  #held: PooledConnection | undefined
  /** The transaction that Kysely has begun on this connection, and ends. */
  #own: ControlledTransaction | undefined
  /** The transaction that the core has begun, and ends. */
  #adopted: Transaction | undefined
  /** Aborts the query that runs now on the server; there while Kysely may ask for that. */
  #inflight: AbortController | undefined
  #pid: number | undefined

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Inside the ambient transaction a savepoint; else a transaction on the session of this connection. */
  async begin(options: BeginOptions): Promise<void> {
    const isAmbient = this.#held === undefined && this.#pool.currentTransaction !== undefined
    this.#own = isAmbient ? await this.#pool.beginTransaction(options) : (await this.#hold()).beginTransaction(options)
  }

  adopt(transaction: Transaction): void {
    this.#adopted = transaction
  }

  async commit(): Promise<void> {
    await this.#end((own) => own.commit())
  }

  async rollback(): Promise<void> {
    await this.#end((own) => own.rollback())
  }

  /** What Kysely left open is rolled back by the pool. */
  async release(): Promise<void> {
    const held = this.#held
    this.#held = undefined
    try {
      await this.rollback()
    } finally {
      held?.release()
    }
  }

  async executeQuery<R>(query: CompiledQuery, options?: Abortable): Promise<QueryResult<R>> {
    // Kysely's own strategy decides what an abort does to a query that runs: see cancelQuery and killSession.
    const inflight = options?.signal === undefined ? undefined : new AbortController()
    this.#inflight = inflight
    try {
      const on = await this.#queryable(options, query)
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

  /** On the transaction that Kysely has begun here, or else wherever the pool takes it. */
  async batch(statements: readonly StatementConfig[], options?: OperationOptions): Promise<readonly CoreResult[]> {
    return await (this.#own ?? this.#adopted ?? this.#held ?? this.#pool).batch(statements, options)
  }

  async *streamQuery<R>(
    query: CompiledQuery,
    chunkSize: number,
    options?: Abortable,
  ): AsyncIterableIterator<QueryResult<R>> {
    const on = this.#own ?? this.#adopted ?? this.#held ?? this.#pool
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

  async #queryable(options?: Abortable, query?: CompiledQuery): Promise<Queryable> {
    const transaction = this.#own ?? this.#adopted
    if (transaction !== undefined) return transaction
    if (this.#held === undefined) {
      const { currentTransaction } = this.#pool
      if (currentTransaction !== undefined) return currentTransaction
      // One whose session may be killed, or looked at, is given one.
      if (query !== undefined && this.#pid === undefined && standsAlone(this.#pool, query)) return this.#pool
    }
    return await this.#hold(options)
  }

  /** Kysely asks for a connection in the same way for a single query and for `db.connection()`, so it is kept. */
  async #hold(options?: Abortable): Promise<PooledConnection> {
    this.#held ??= await this.#pool.acquire(options?.signal === undefined ? undefined : { signal: options.signal })
    return this.#held
  }

  async #end(how: (own: ControlledTransaction) => Promise<void>): Promise<void> {
    const own = this.#own
    this.#own = undefined
    this.#adopted = undefined
    if (own !== undefined) await how(own)
  }
}
