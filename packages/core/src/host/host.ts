import type { Limit } from '../base/limit.js'
import { sleep } from '../base/sleep.js'
import { classify } from '../errors/classify.js'
import { within } from '../errors/given-up.js'
import { ConnectionLostError, ServerUnavailableError } from '../errors/pool-errors.js'
import type { ResolvedPoolLimits } from '../pool/pool-limits.js'
import type { LeakReport } from '../pool/resource-factory.js'
import { type PoolEnvironment, ResourcePool } from '../pool/resource-pool.js'
import type { Slot } from '../pool/slot.js'
import type { Holder } from '../pool/waiter.js'
import type { Connection } from '../wire/connection.js'
import type { Destination } from '../wire/destination.js'
import { type QueryResult, Statement, type StatementConfig } from '../wire/statement.js'
import { defaultResetMode, Hygiene, type ResetMode } from './hygiene.js'

/** How long the sign of life of an idle connection may take. */
const checkBoundMs = 1_000
/** The pause before a caller who goes on waiting for a server asks again. */
const turnMs = 20

/** What differs for a host that is one of several. */
export interface HostRole {
  /** Opens a connection; without it the host's own configuration says where. */
  readonly open?: ((signal?: AbortSignal) => Promise<Connection>) | undefined
  /** Whether a failed attempt to open is told to whoever waits at once: there is another host to go to. */
  readonly failsFast?: boolean | undefined
  /** How long a caller waits for a server that is not there, when that is longer than for a busy pool; in milliseconds. */
  readonly unavailableTimeoutMs?: number | undefined
}

/** What the pool hands out: a connection in its place. */
export type ConnectionSlot = Slot<Connection>

/** One PostgreSQL server: the pool of connections to it, and the hygiene of what comes back. */
export class Host {
  readonly pool: ResourcePool<Connection>
  readonly environment: PoolEnvironment
  readonly #open: (signal?: AbortSignal) => Promise<Connection>
  readonly #unavailableTimeoutMs: number
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
    role: HostRole = {},
  ) {
    this.environment = environment
    const { open = (signal) => destination.open(signal), failsFast = false } = role
    this.#open = open
    this.#unavailableTimeoutMs = role.unavailableTimeoutMs ?? 0
    this.#destination = destination
    this.#limits = limits
    this.#hygiene = new Hygiene(resetMode, environment.clock)
    this.pool = new ResourcePool<Connection>(
      {
        where: destination.where,
        open: async (signal) => {
          const connection = await open(signal)
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
        isHopeless: (error) => failsFast || classify(error, 'connect') === 'configuration',
        ...(onLeak === undefined ? {} : { onLeak }),
      },
      limits,
      environment,
    )
  }

  /** A connection out of the pool. While the server is not there, it is waited for as long as the role allows. */
  async acquire(limit: Limit, holder: Holder | undefined): Promise<ConnectionSlot> {
    const { clock } = this.environment
    const since = clock.now()
    for (;;) {
      try {
        return this.pool.tryAcquire() ?? (await this.pool.acquire(limit, holder))
      } catch (error) {
        const left = since + this.#unavailableTimeoutMs - clock.now()
        if (left <= 0 || !(error instanceof ServerUnavailableError)) throw error
        // No shorter than this, lest a pool without any patience of its own is asked without a pause.
        await sleep(Math.min(left, turnMs), clock, limit)
      }
    }
  }

  /** One statement on whatever connection is free, in a transaction of its own. */
  async query(config: StatementConfig, limit: Limit, holder: Holder | undefined): Promise<QueryResult> {
    for (;;) {
      const slot = this.pool.tryAcquire() ?? (await this.acquire(limit, holder))
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
    const opening = this.#open()
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
