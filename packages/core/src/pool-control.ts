import type { OperationOptions } from './base/limit.js'
import type { FlushMode } from './pool/flush-mode.js'
import type { PoolSize } from './pool/pool-limits.js'
import type { ActiveConnection } from './pool-active.js'
import type { EndOptions } from './pool-end.js'
import type { PoolEvents } from './pool-events.js'
import type { PoolHealth } from './pool-health.js'
import type { PoolStats } from './pool-stats.js'

/** Looking at the pool, and the ways to change or end it while it is at work. */
export interface PoolControl extends AsyncDisposable {
  /** Listens to what happens in the pool; returns the way to stop. A listener that throws becomes a process warning. */
  on<Name extends keyof PoolEvents>(name: Name, listener: (event: PoolEvents[Name]) => void): () => void

  /** The pool in numbers; cheap enough to be read every second. */
  stats(): PoolStats

  /**
   * The connections that are in use now, of all servers, the one that has been so for longest first: what runs on each, for
   * how long, and, with `leakDetectionMs`, which lines of the program have taken it.
   *
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop', leakDetectionMs: 30_000 })
   * for (const { pid, heldMs, text, acquireStack } of pool.active()) console.log(pid, heldMs, text, acquireStack)
   * ```
   */
  active(): ActiveConnection[]

  /**
   * Asks every server whether it is there, within `timeoutMs` (2 s by default). It waits for no connection of the pool: a
   * pool that is full of work is well. Made for readiness checks; a process that lives need not be restarted because its
   * database does not answer.
   *
   * @throws OperationAbortedError when its signal aborts; a server that is down is told, not thrown
   * @example
   * ```ts
   * import { createServer } from 'node:http'
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * createServer(async (_request, response) => {
   *   const { status } = await pool.health({ timeoutMs: 500 })
   *   response.writeHead(status === 'down' ? 503 : 200).end(status)
   * }).listen(8080)
   * ```
   */
  health(options?: OperationOptions): Promise<PoolHealth>

  /**
   * Closes connections, so that new ones take their place: after a change that sessions see only when they begin, such as
   * ALTER ROLE ... SET, or to spread them anew behind a balancer. `'idle'` closes those that nobody uses now,
   * `'gracefully'` also those in use as they come back, `'all'` those in use at once: what runs on them fails with
   * ConnectionLostError. Settles when they are gone; a limit ends only the wait, they are closed all the same.
   *
   * @throws OperationTimeoutError, OperationAbortedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.query("alter role shop set statement_timeout = '5s'")
   * await pool.flush('gracefully', { timeoutMs: 60_000 })
   * ```
   */
  flush(mode: FlushMode, options?: OperationOptions): Promise<void>

  /**
   * Hands out no connection any more: what runs is finished, and new callers wait within their own deadlines until
   * `resume`. Work that holds a connection still gets another one, as it could not be finished otherwise. Settles when
   * nothing is in use; a limit ends only the wait, the pool stays paused.
   *
   * @throws OperationTimeoutError, OperationAbortedError, also when it is resumed before; PoolClosedError
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * await pool.pause({ timeoutMs: 5_000 })
   * // the server is restarted, or a table is changed under an exclusive lock
   * pool.resume()
   * ```
   */
  pause(options?: OperationOptions): Promise<void>

  /** Ends a `pause`: whoever waits is served. Does nothing when there is none. */
  resume(): void

  /**
   * Changes how many connections there may and should be. A larger pool serves at once who waits; a smaller one closes
   * what is too much, as it comes back.
   *
   * @throws InvalidOptionError unless `max` is 1 or more and `min` from 0 to `max`, and a shared budget has room for it
   */
  resize(size: PoolSize): void

  /**
   * Takes no new work, lets what was begun or waits finish, and closes every connection; see {@link EndOptions}. A
   * second call waits for the first, and its own bound applies too: `end({ mode: 'fast' })` cuts the first short.
   * Subscriptions and elections end at once, and their owners are told: by `onEnd` of `listen` and `elect`, by the signal
   * of a leader, and by PoolClosedError where `listen` still waits.
   *
   * @throws OperationAbortedError when `cancelEnd` undid it
   * @example
   * ```ts
   * import { createPool } from '@pg-lifeguard/core'
   *
   * const pool = createPool({ connectionString: 'postgres://localhost/shop' })
   * process.once('SIGTERM', () => {
   *   pool.end({ timeoutMs: 5_000 }).then(() => process.exit(0))
   * })
   * ```
   */
  end(options?: EndOptions): Promise<void>

  /**
   * Undoes `end` while it still waits for what was begun: the pool goes on, and the promise of `end` rejects with
   * OperationAbortedError. False when there is nothing to undo: it was not being ended, or is already torn down.
   * Subscriptions and elections that `end` has ended do not come back.
   */
  cancelEnd(): boolean
}
