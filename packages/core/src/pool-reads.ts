import type { ReadOptions } from './session/read.js'
import type { FallbackOptions, FallbackResult } from './session/with-fallback.js'

/** Reads that may come from a replica, or out of a cache. */
export interface PoolReads {
  /**
   * Runs `fn`; what it reads on this pool may come from a replica that is no further behind the primary than `maxLagMs`
   * (or `maxLagBytes`), streams included. What writes, locks, or is not known to do neither goes to the primary, and so
   * do transactions, except those with `readOnly: true`. What is written inside is seen by the reads behind it. Without replicas it is
   * `fn` alone.
   *
   * @throws what `fn` threw; OperationTimeoutError, OperationAbortedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({
   *   connectionString: 'postgres://primary/shop',
   *   replicas: ['postgres://replica-1/shop', 'postgres://replica-2/shop'],
   * })
   * const { rows } = await pool.read(() => pool.query('select name from item order by name'), { maxLagMs: 500 })
   * console.log(rows.length)
   * ```
   */
  read<T>(fn: () => Promise<T>, options?: ReadOptions): Promise<T>

  /**
   * Runs `fn` as one line of work, a request say: its reads show what it has written before, on replicas too, and what
   * `token` stands for, which another request or another service was given by `causalToken()`.
   *
   * @throws InvalidOptionError when `token` is no token; what `fn` threw
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://primary/shop', replicas: ['postgres://replica/shop'] })
   *
   * async function handle(cookie: string | undefined): Promise<string | undefined> {
   *   return await pool.withCausality(cookie, async () => {
   *     await pool.query('insert into basket (item) values ($1)', [7])
   *     await pool.read(() => pool.query('select item from basket')) // shows item 7
   *     return await pool.causalToken() // for the cookie of the answer
   *   })
   * }
   * console.log(await handle(undefined))
   * ```
   */
  withCausality<T>(token: string | undefined, fn: () => Promise<T>): Promise<T>

  /**
   * What the line of work around the call has written and seen, as a text for a cookie or a header: `withCausality` takes
   * it, in any process. Undefined when there is nothing to be seen. Outside of `withCausality` and `read` it stands for
   * everything that has been committed by now, which costs a round trip.
   *
   * @throws what the primary said when it had to be asked and could not be
   */
  causalToken(): Promise<string | undefined>

  /**
   * Asks the database through `fn`; while the database cannot be asked, gives its last good answer out of `cache`, marked
   * as stale.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * const cache = new Map<string, unknown>()
   * const { value, stale } = await pool.withFallback(
   *   'product:42',
   *   async () => (await pool.query<{ name: string }>('select name from product where id = 42')).rows[0],
   *   { cache, staleIfErrorMs: 60_000, timeoutMs: 200 },
   * )
   * console.log(value?.name, stale)
   * ```
   */
  withFallback<T>(key: string, fn: () => Promise<T>, options: FallbackOptions): Promise<FallbackResult<T>>
}
