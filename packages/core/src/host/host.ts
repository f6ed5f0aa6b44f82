import type { Limit } from '../base/limit.js'
import { classify } from '../errors/classify.js'
import { within } from '../errors/given-up.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { ResolvedPoolLimits } from '../pool/pool-limits.js'
import type { LeakReport } from '../pool/resource-factory.js'
import { type BudgetShare, type PoolEnvironment, ResourcePool } from '../pool/resource-pool.js'
import type { Slot } from '../pool/slot.js'
import type { Holder } from '../pool/waiter.js'
import type { Connection } from '../wire/connection.js'
import type { Destination } from '../wire/destination.js'
import { type QueryResult, Statement, type StatementConfig } from '../wire/statement.js'
import { defaultResetMode, Hygiene, type ResetMode } from './hygiene.js'

/** How long the sign of life of an idle connection may take. */
const checkBoundMs = 1_000

/** What the pool hands out: a connection in its place. */
export type ConnectionSlot = Slot<Connection>

/** One PostgreSQL server: the pool of connections to it, and the hygiene of what comes back. */
export class Host {
  readonly pool: ResourcePool<Connection>
  readonly environment: PoolEnvironment
  readonly #destination: Destination
  readonly #limits: ResolvedPoolLimits
  /** Called with every new connection, before anybody else has it. */
  onOpened: ((connection: Connection) => void) | undefined
  readonly #hygiene: Hygiene

  constructor(
    destination: Destination,
    limits: ResolvedPoolLimits,
    environment: PoolEnvironment,
    onLeak?: (leak: LeakReport) => void,
    resetMode: ResetMode = defaultResetMode,
    share?: BudgetShare,
  ) {
    this.environment = environment
    this.#destination = destination
    this.#limits = limits
    this.#hygiene = new Hygiene(resetMode, environment.clock)
    this.pool = new ResourcePool<Connection>(
      {
        where: destination.where,
        open: async (signal) => {
          const connection = await destination.open(signal)
          connection.onLost(() => this.pool.lost(connection))
          this.onOpened?.(connection)
          return connection
        },
        close: (connection) => connection.close(),
        destroy: (connection) => {
          connection.destroy()
          return connection.gone()
        },
        isAlive: (connection) => connection.isAlive && destination.suits(connection),
        check: (connection) => this.#check(connection),
        isHopeless: (error) => classify(error, 'connect') === 'configuration',
        ...(onLeak === undefined ? {} : { onLeak }),
      },
      limits,
      environment,
      share,
    )
  }

  /** One statement on whatever connection is free, in a transaction of its own. */
  async query(config: StatementConfig, limit: Limit, holder: Holder | undefined): Promise<QueryResult> {
    for (;;) {
      const slot = this.pool.tryAcquire() ?? (await this.pool.acquire(limit, holder))
      const statement = new Statement(config)
      try {
        return await slot.resource.run(statement, limit)
      } catch (error) {
        // The connection had died while it idled, and nothing was sent: that is the pool's affair, not the caller's.
        if (!(error instanceof ConnectionLostError) || error.sent) throw error
      } finally {
        this.release(slot)
      }
    }
  }

  /** The configuration in the words of `pg.Pool`. */
  pgOptions(): Readonly<Record<string, unknown>> {
    const { max, min, maxUses, idleTimeoutMs, maxLifetimeMs, acquireTimeoutMs } = this.#limits
    return {
      ...this.#destination.pgConfig(),
      max,
      min,
      maxUses: maxUses === 0 ? Number.POSITIVE_INFINITY : maxUses,
      idleTimeoutMillis: idleTimeoutMs,
      maxLifetimeSeconds: Number.isFinite(maxLifetimeMs) ? maxLifetimeMs / 1_000 : 0,
      connectionTimeoutMillis: Number.isFinite(acquireTimeoutMs) ? acquireTimeoutMs : 0,
    }
  }

  /**
   * Runs `fn` on a connection of its own, beside the pool, as a cancel request is: for a question that cannot wait for a
   * pool in which everybody waits for its answer.
   */
  async aside<T>(fn: (connection: Connection) => Promise<T>, limit: Limit): Promise<T> {
    const opening = this.#destination.open()
    try {
      return await fn(await within(opening, limit, this.environment.clock))
    } finally {
      // Also one that opens after all; a failure to open has been told to the caller, or comes too late for it.
      opening.then(
        (connection) => void connection.close(),
        () => undefined,
      )
    }
  }

  /**
   * Takes a connection back. In the usual case, nothing running and no transaction open, it is free again at once;
   * otherwise it is made so first, behind the caller's back, and torn down when that fails. What an earlier user left
   * open never reaches the next one.
   */
  release(slot: ConnectionSlot): void {
    const connection = slot.resource
    if (!connection.isAlive) this.pool.discard(slot)
    else if (this.#hygiene.isFit(connection)) this.pool.release(slot)
    else void this.#tidy(slot)
  }

  async #tidy(slot: ConnectionSlot): Promise<void> {
    if (await this.#hygiene.makeFit(slot.resource)) this.pool.release(slot)
    else this.pool.discard(slot)
  }

  async #check(connection: Connection): Promise<boolean> {
    const { clock } = this.environment
    const limit: Limit = { deadlineAt: clock.now() + checkBoundMs, timeoutMs: checkBoundMs, signal: undefined }
    try {
      await connection.run(new Statement({ text: '' }), limit)
      return connection.isQuiet && connection.isAlive
    } catch {
      // Whatever was wrong, the answer is: not usable. The pool tears it down and tries the next one.
      return false
    }
  }
}
