import type { AdapterSeam } from './adapter-seam.js'
import type { PoolControl } from './pool-control.js'
import type { PoolDeadlines } from './pool-deadlines.js'
import type { PoolLocks } from './pool-locks.js'
import type { PoolReads } from './pool-reads.js'
import type { PoolStatements } from './pool-statements.js'
import type { PoolTransactions } from './pool-transactions.js'
import type { PgPool } from './wire/pg-shapes.js'

/**
 * A pool of connections to one PostgreSQL database, with everything that keeps work on it right. Made by
 * {@link createPool}.
 */
export interface Pool
  extends PoolStatements,
    PoolTransactions,
    PoolLocks,
    PoolReads,
    PoolDeadlines,
    PoolControl,
    AdapterSeam {
  /** The name it was given. */
  readonly name: string

  /**
   * This pool with the shape of a `pg.Pool`, for everything that takes one: the same object at every call, without a
   * connection of its own. What it is asked inside an open transaction belongs to that transaction; a client that is
   * connected there runs on the transaction's connection, and its BEGIN, COMMIT and ROLLBACK are those of a savepoint.
   * Its `end` ends this pool.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const client = await pool.asPgPool().connect()
   * try {
   *   await client.query('listen orders')
   * } finally {
   *   client.release(true)
   * }
   * ```
   */
  asPgPool(): PgPool
}
