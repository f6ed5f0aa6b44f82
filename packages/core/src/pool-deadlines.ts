import type { OperationOptions } from './base/limit.js'
import type { Deadline } from './session/ambient-deadline.js'
import type { FanOutResults, FanOutTasks } from './session/fan-out.js'
import type { ConcurrencyOptions } from './session/for-each-concurrent.js'

/** One bound of time around many operations. */
export interface PoolDeadlines {
  /**
   * Runs `fn` with `timeoutMs` milliseconds for all that it does on this pool; what runs then is cancelled on the server.
   * `signal` of its argument tells the rest of `fn`.
   *
   * @throws OperationTimeoutError
   */
  withDeadline<T>(
    timeoutMs: number,
    fn: (deadline: Deadline) => Promise<T>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<T>

  /**
   * Runs pieces of work side by side and gives their values by the same names. The first failure, or the deadline,
   * cancels the others on the server.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const { user, orders } = await pool.fanOut(
   *   {
   *     user: () => pool.query<{ name: string }>('select name from customer where id = $1', [42]),
   *     orders: () => pool.query<{ id: number }>('select id from purchase where customer = $1', [42]),
   *   },
   *   { timeoutMs: 300 },
   * )
   * console.log(user.rows[0]?.name, orders.rows.length)
   * ```
   */
  fanOut<Tasks extends FanOutTasks>(tasks: Tasks, options?: OperationOptions): Promise<FanOutResults<Tasks>>

  /** Runs `fn` for each item, a few at a time and never more than the pool can carry; values in the order of the items. */
  forEachConcurrent<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, index: number, deadline: Deadline) => Promise<T>,
    options?: ConcurrencyOptions,
  ): Promise<T[]>
}
