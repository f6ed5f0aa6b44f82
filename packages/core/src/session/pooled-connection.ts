import type { Limit } from '../base/limit.js'
import { ConnectionReleasedError } from '../errors/pool-errors.js'
import type { ConnectionSlot, Host } from '../host/host.js'
import type { Holder } from '../pool/waiter.js'
import { type QueryResult, Statement, type StatementConfig } from '../wire/statement.js'
import { type QueryArguments, type Queryable, query } from './queryable.js'

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
export interface PooledConnection extends Queryable, AsyncDisposable {
  /** Process id of its backend, as in `pg_stat_activity`. */
  readonly pid: number
  /** Gives it back; a second call does nothing. `discard: true` closes it instead of letting anybody reuse it. */
  release(options?: { readonly discard?: boolean }): void
}

/** A slot of the pool, dressed for a user. */
export class AcquiredConnection implements PooledConnection {
  readonly #host: Host
  readonly #holder: Holder | undefined
  #slot: ConnectionSlot | undefined

  constructor(host: Host, slot: ConnectionSlot, holder: Holder | undefined) {
    this.#host = host
    this.#slot = slot
    this.#holder = holder
    if (holder !== undefined) holder.held += 1
  }

  get pid(): number {
    return this.#held().resource.pid
  }

  query<Row = Record<string, unknown>>(...args: QueryArguments): Promise<QueryResult<Row>> {
    return query<Row>(this, this.#host.environment.clock, args)
  }

  async execute(config: StatementConfig, limit: Limit): Promise<QueryResult> {
    return await this.#held().resource.run(new Statement(config), limit)
  }

  release(options: { readonly discard?: boolean } = {}): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    if (this.#holder !== undefined) this.#holder.held -= 1
    if (options.discard === true) this.#host.pool.discard(slot)
    else this.#host.release(slot)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release()
  }

  #held(): ConnectionSlot {
    if (this.#slot === undefined) throw new ConnectionReleasedError()
    return this.#slot
  }
}
