import type { Pool } from '@pg-lifeguard/core'
import { type AdapterPool, adapterPool, assertFlag, assertKnownOptions, optionNames } from '@pg-lifeguard/core/adapter'
import { type DialectAdapter, type Driver, PostgresDialect } from 'kysely'
import { LifeguardAdapter } from './lifeguard-adapter.js'
import { LifeguardDriver } from './lifeguard-driver.js'

/** How the dialect treats its pool. */
export interface LifeguardDialectOptions {
  /**
   * Whether `db.destroy()` ends the pool. Leave it off when the pool is shared, with other ORMs or raw queries.
   *
   * @default false
   */
  readonly endPoolOnDestroy?: boolean
}

/**
 * Kysely on a Lifeguard pool. Queries join the transaction that is open around them in the ambient context of the pool,
 * whoever opened it: `pool.withTransaction`, another ORM on the same pool, or `withTransaction(db, ...)`.
 *
 * @example
 * ```ts
 * import { createPool, LifeguardDialect } from '@pg-lifeguard/kysely'
 * import { Kysely } from 'kysely'
 *
 * interface Database {
 *   item: { id: number; name: string }
 * }
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
 * console.log(await db.selectFrom('item').selectAll().execute())
 * await pool.end()
 * ```
 */
export class LifeguardDialect extends PostgresDialect {
  /** The pool that every query of this dialect runs on. */
  readonly pool: Pool
  readonly #adapterPool: AdapterPool
  readonly #options: LifeguardDialectOptions

  constructor(pool: Pool, options: LifeguardDialectOptions = {}) {
    const own = adapterPool(pool)
    assertKnownOptions(options, names)
    assertFlag('endPoolOnDestroy', options.endPoolOnDestroy)
    super({ pool: async () => pool.asPgPool() })
    this.pool = pool
    this.#adapterPool = own
    this.#options = options
  }

  /** @internal called by Kysely */
  override createDriver(): Driver {
    return new LifeguardDriver(this.#adapterPool, this.#options.endPoolOnDestroy ?? false)
  }

  /** @internal called by Kysely */
  override createAdapter(): DialectAdapter {
    return new LifeguardAdapter(this.pool)
  }
}

const names = optionNames<LifeguardDialectOptions>({ endPoolOnDestroy: true })
