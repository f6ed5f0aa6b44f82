import {
  type BeginOptions,
  ConnectionReleasedError,
  type QueryResult as CoreResult,
  type ManualTransaction,
  type OperationOptions,
  type Pool,
  type PooledConnection,
  type Queryable,
  type StatementConfig,
  type Transaction,
  TransactionClosedError,
} from '@pg-lifeguard/core'
import type { AdapterPool } from '@pg-lifeguard/core/adapter'
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
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
  readonly #adapterPool: AdapterPool
  /** A session of one's own, from the first statement that needs one until Kysely releases it. */
  #held: PooledConnection | undefined
  /** The transaction that Kysely has begun on this connection, and ends. */
  #own: ManualTransaction | undefined
  /** The transaction that the core has begun, and ends. */
  #adopted: Transaction | undefined
  /** Aborts the query that runs now on the server; there while Kysely may ask for that. */
  #inflight: AbortController | undefined
  #pid: number | undefined
  /** What the next query stands for, in place of its text. */
  #instead: (() => Promise<void>) | undefined
  #isReleased = false
  /** Whether the session was there before the transaction on it, and stays: that of `db.connection()`. */
  #isKept = false
  /** The one statement that has run here so far; undefined when there was none, or more. */
  #only: CompiledQuery | undefined
  #hasRun = false
  /** A COMMIT has failed, and Kysely takes its transaction for an open one: what comes now would commit by itself. */
  #isOver = false

  constructor(adapterPool: AdapterPool) {
    this.#pool = adapterPool.pool
    this.#adapterPool = adapterPool
  }

  /** Inside the ambient transaction a savepoint; else a transaction on the session of this connection. */
  async begin(options: BeginOptions): Promise<void> {
    this.#isOver = false
    this.#isKept = this.#held !== undefined
    const isAmbient = this.#held === undefined && this.#pool.currentTransaction !== undefined
    this.#own = isAmbient ? await this.#pool.beginTransaction(options) : (await this.#hold()).beginTransaction(options)
  }

  adopt(transaction: Transaction): void {
    this.#adopted = transaction
  }

  get isAdopted(): boolean {
    return this.#adopted !== undefined
  }

  /** Whether it has what a transaction of the pool's would not reach: one that Kysely has begun, or a session. */
  get isTaken(): boolean {
    return this.#own !== undefined || this.#held !== undefined
  }

  /** The next query runs this in place of its text, which is what Kysely logs. */
  instead(fn: () => Promise<void>): void {
    this.#instead = fn
  }

  async commit(): Promise<void> {
    // Kysely takes it for an open one, and would say that it was committed.
    if (this.#isOver) throw this.#overError()
    await this.#end((own) => own.commit())
  }

  async rollback(): Promise<void> {
    this.#isOver = false
    await this.#end((own) => own.rollback())
  }

  /**
   * The transaction could not be ended as Kysely asked. Of a transaction that is ended by hand it may never ask for
   * anything again, so that the session goes back to the pool now.
   *
   * @param isKnown whether Kysely refuses further work in the transaction by itself
   */
  failed(isKnown: boolean): void {
    this.#isOver = !isKnown
    if (this.#isKept) return
    const held = this.#held
    this.#held = undefined
    this.#pid = undefined
    held?.release()
  }

  /**
   * What Kysely left open is rolled back by the pool. Kysely asks for a connection in the same way for a single query and
   * for `db.connection()`, so that only now it shows that a BEGIN was all that was asked of it.
   *
   * @throws InvalidArgumentError for a BEGIN that was no part of anything
   */
  async release(): Promise<void> {
    this.#isReleased = true
    const held = this.#held
    this.#held = undefined
    try {
      await this.rollback()
    } finally {
      held?.release()
    }
    if (held !== undefined && this.#only !== undefined) this.#adapterPool.assertEndsWhatItBegins(this.#only.sql)
  }

  async executeQuery<R>(query: CompiledQuery, options?: Abortable): Promise<QueryResult<R>> {
    const instead = this.#instead
    if (instead !== undefined) {
      this.#instead = undefined
      await instead()
      return { rows: [] }
    }
    this.#assertOpen()
    // Kysely's own strategy decides what an abort does to a query that runs: see cancelQuery and killSession.
    const inflight = options?.signal === undefined ? undefined : new AbortController()
    this.#inflight = inflight
    const isFirst = !this.#hasRun
    this.#hasRun = true
    this.#only = undefined
    try {
      const on = await this.#queryable(options, query)
      const statement = { text: query.sql, values: query.parameters }
      const result = await on.query<R>(statement, inflight === undefined ? undefined : { signal: inflight.signal })
      if (isFirst) this.#only = query
      // A text of several statements has several results, and Kysely no way to give them.
      if (Array.isArray(result)) return { rows: [] }
      const { command, rowCount, rows } = result
      return counted.has(command) && rowCount !== null ? { numAffectedRows: BigInt(rowCount), rows } : { rows }
    } finally {
      if (this.#inflight === inflight) this.#inflight = undefined
    }
  }

  /** On the transaction that Kysely has begun here, or else wherever the pool takes it. */
  async batch(statements: readonly StatementConfig[], options?: OperationOptions): Promise<readonly CoreResult[]> {
    this.#assertOpen()
    return await (this.#own ?? this.#adopted ?? this.#held ?? this.#pool).batch(statements, options)
  }

  async *streamQuery<R>(
    query: CompiledQuery,
    chunkSize: number,
    options?: Abortable,
  ): AsyncIterableIterator<QueryResult<R>> {
    this.#assertOpen()
    const on = this.#own ?? this.#adopted ?? this.#held ?? this.#pool
    const statement = { text: query.sql, values: query.parameters }
    // Inside of a transaction a cancelled fetch would fail all of it; Kysely itself stops between two.
    const signal = this.#own === undefined && this.#adopted === undefined ? options?.signal : undefined
    for await (const rows of on.streamBatches<R>(statement, { batchSize: chunkSize, signal })) yield { rows }
  }

  async collectSessionInfo(): Promise<void> {
    const { rows } = await (await this.#queryable()).query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid')
    this.#pid = rows[0]?.pid
  }

  /** A CancelRequest to the server, over the TLS settings of the connection; no second connection of the pool. */
  async cancelQuery(): Promise<void> {
    this.#inflight?.abort()
  }

  /** Beside the pool: a connection of Kysely's may be the one that the query has, or be waited for. */
  async killSession(): Promise<void> {
    if (this.#pid !== undefined && this.#inflight !== undefined) await this.#adapterPool.terminateSession(this.#pid)
  }

  async #queryable(options?: Abortable, query?: CompiledQuery): Promise<Queryable> {
    const transaction = this.#own ?? this.#adopted
    if (transaction !== undefined) return transaction
    if (this.#held === undefined) {
      const { currentTransaction } = this.#pool
      if (currentTransaction !== undefined) return currentTransaction
      // One whose session may be killed, or looked at, is given one.
      if (query !== undefined && this.#pid === undefined && standsAlone(this.#adapterPool, query)) return this.#pool
    }
    return await this.#hold(options)
  }

  /** Kysely asks for a connection in the same way for a single query and for `db.connection()`, so it is kept. */
  async #hold(options?: Abortable): Promise<PooledConnection> {
    if (this.#held !== undefined) return this.#held
    const acquired = await this.#pool.acquire(options?.signal === undefined ? undefined : { signal: options.signal })
    // Asked for side by side, or by what nobody waited for.
    if (this.#held === undefined && !this.#isReleased) this.#held = acquired
    else acquired.release()
    this.#assertOpen()
    return this.#held ?? acquired
  }

  #assertOpen(): void {
    if (this.#isReleased) throw new ConnectionReleasedError()
    if (this.#isOver) throw this.#overError()
  }

  #overError(): TransactionClosedError {
    return new TransactionClosedError('its COMMIT failed')
  }

  async #end(how: (own: ManualTransaction) => Promise<void>): Promise<void> {
    const own = this.#own
    this.#own = undefined
    this.#adopted = undefined
    if (own !== undefined) await how(own)
  }
}
