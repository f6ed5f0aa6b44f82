import { LifeguardError } from './lifeguard-error.js'

/**
 * A row was not in the version that was read: somebody else changed it in between. Throw it inside
 * `withOptimisticRetry` when an update with `where version = ...` touched no row.
 *
 * @example
 * ```ts
 * import { createPool, VersionConflictError } from '@pg-lifeguard/core'
 *
 * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
 * await pool.withOptimisticRetry(async () => {
 *   const { rows } = await pool.query<{ stock: number; version: number }>('select stock, version from item where id = $1', [7])
 *   const [item] = rows
 *   if (item === undefined) throw new Error('no such item')
 *   const { rowCount } = await pool.query(
 *     'update item set stock = $1, version = version + 1 where id = $2 and version = $3',
 *     [item.stock - 1, 7, item.version],
 *   )
 *   if (rowCount === 0) throw new VersionConflictError('item 7')
 * })
 * ```
 */
export class VersionConflictError extends LifeguardError {
  static override readonly name: string = 'VersionConflictError'
  readonly code = 'LIFEGUARD_VERSION_CONFLICT'
  readonly retryable = true
  /** What was in conflict, in the caller's words. */
  readonly subject: string

  constructor(subject: string, options?: ErrorOptions) {
    super(`${subject} was changed by somebody else since it was read`, options)
    this.subject = subject
  }
}
