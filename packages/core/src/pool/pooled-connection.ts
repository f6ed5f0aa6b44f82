import type { Causality } from '../cluster/causality.js'
import { type Command, operationFor } from '../connection/command.js'
import { FetchedStatement } from '../connection/portal.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { ownedBy } from '../errors/origin.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import { type Operable, Operations } from '../query/operations.js'
import type { Bounds, Executor } from '../query/queryable.js'
import { batchesIn, type StreamOptions } from '../query/stream.js'
import type { ConnectionSlot } from '../server/server.js'
import { onHeld } from '../transaction/connection-source.js'
import type { SessionEnvironment } from '../transaction/environment.js'
import { beginOn, type ManualTransactionOptions } from '../transaction/manual-transaction.js'
import type { ManualTransaction } from '../transaction/transaction.js'
import { batchesInOwn } from './stream.js'

/**
 * A connection for one user alone, until it is released. Statements on it run one after the other, in the order in
 * which they were asked for. What was left open on it, a transaction above all, is rolled back on release.
 *
 * @example
 * ```ts
 * import { createPool } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * {
 *   await using connection = await pool.acquire({ timeoutMs: 500 })
 *   await connection.query('create temp table basket (item int)')
 *   await connection.query('insert into basket values ($1)', [7])
 * } // released here
 * ```
 */
export interface PooledConnection extends Operable, AsyncDisposable {
  /** Process id of its backend, as in `pg_stat_activity`. */
  readonly pid: number
  /** Begins a transaction on this connection, which the caller ends. Until then every statement on it belongs to it. */
  beginTransaction(options?: ManualTransactionOptions): ManualTransaction
  /** Releases it; a second call does nothing. `discard: true` closes it instead of letting anybody reuse it. */
  release(options?: { readonly discard?: boolean }): void
}

const releaseNames = optionNames<{ readonly discard?: boolean }>({ discard: true })

/** A connection of the pool while a user has it. */
export class AcquiredConnection extends Operations implements PooledConnection {
  readonly #environment: SessionEnvironment
  /** That of the `withCausality` or `read` that it was acquired in. */
  readonly #causality: Causality | undefined
  #slot: ConnectionSlot | undefined

  constructor(environment: SessionEnvironment, slot: ConnectionSlot) {
    super(environment.ambient)
    this.#environment = environment
    this.#slot = slot
    this.#causality = environment.cluster === undefined ? undefined : environment.ambient.current?.causality
  }

  get pid(): number {
    return this.#held().resource.pid
  }

  async execute(command: Command, deadline: Deadline): Promise<QueryResult> {
    try {
      return await this.#held().resource.run(operationFor(command), deadline)
    } finally {
      // What is written here may be committed by any of the caller's statements: the next read asks how far that is.
      this.#causality?.noteUnknown()
    }
  }

  /** In the transaction that is open here, also when that was begun by a statement; or else in one of its own. */
  override streamBatches<Row>(
    config: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    return this.#streamBatches<Row>(config, this.#environment.ambient.fromHere(), new FetchedStatement(config), options)
  }

  async *#streamBatches<Row>(
    config: StatementConfig,
    bounds: Bounds,
    whole: FetchedStatement,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined> {
    const { resource } = this.#held()
    // What was asked for before may begin a transaction, or end it.
    await resource.whenQuiet()
    if (resource.status === 'I') {
      const own = beginOn(onHeld(this.#held()), this.#environment, {}, true)
      yield* batchesInOwn<Row>(own, bounds, config, whole, options)
    } else yield* batchesIn<Row>(this, bounds, config, whole, options)
  }

  beginTransaction(options?: ManualTransactionOptions): ManualTransaction & Executor {
    return beginOn(onHeld(this.#held()), this.#environment, options)
  }

  release(options?: { readonly discard?: boolean }): void {
    assertKnownOptions(options, releaseNames)
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    this.#causality?.noteUnknown()
    if (options?.discard === true) this.#environment.server.pool.destroy(slot)
    else this.#environment.server.release(slot)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release()
  }

  #held(): ConnectionSlot {
    if (this.#slot === undefined) throw ownedBy(new ConnectionReleasedError(), this.#environment.server.environment)
    return this.#slot
  }
}
