import type { Limit } from '../base/limit.js'
import { sleep } from '../base/sleep.js'
import { classify } from '../errors/classify.js'
import { givenUp, within } from '../errors/given-up.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { ResolvedPoolLimits } from '../pool/pool-limits.js'
import { type BudgetShare, type PoolEnvironment, ResourcePool } from '../pool/resource-pool.js'
import type { Slot } from '../pool/slot.js'
import type { Holder } from '../pool/waiter.js'
import type { Connection } from '../wire/connection.js'
import type { Destination } from '../wire/destination.js'
import { type QueryResult, Statement, type StatementConfig } from '../wire/statement.js'
import type { HostWatch } from './host-watch.js'
import { defaultResetMode, Hygiene, type ResetMode } from './hygiene.js'
import { watchForReturn } from './return-watch.js'

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
  /** The budget that its connections are taken from, shared with other pools. */
  readonly share?: BudgetShare | undefined
}

/** What the pool hands out: a connection in its place. */
export type ConnectionSlot = Slot<Connection>

/** One PostgreSQL server: the pool of connections to it, and the hygiene of what comes back. */
export class Host {
  readonly pool: ResourcePool<Connection>
  readonly environment: PoolEnvironment
  /** Keeps its numbers and its circuit breaker. */
  readonly watch: HostWatch
  /** `127.0.0.1:5432`. */
  readonly where: string
  readonly #openOne: (signal?: AbortSignal) => Promise<Connection>
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
    watch: HostWatch,
    resetMode: ResetMode = defaultResetMode,
    role: HostRole = {},
  ) {
    this.environment = environment
    const { open = (signal) => destination.open(signal), failsFast = false } = role
    this.#openOne = open
    this.#unavailableTimeoutMs = role.unavailableTimeoutMs ?? 0
    this.where = destination.where
    this.watch = watch
    this.#destination = destination
    this.#limits = limits
    this.#hygiene = new Hygiene(resetMode, environment.clock)
    this.pool = new ResourcePool<Connection>(
      {
        where: destination.where,
        open: (signal) => this.#open(signal),
        close: (connection) => connection.close(),
        destroy: (connection) => {
          connection.destroy()
          return connection.gone()
        },
        isAlive: (connection) => connection.isAlive && destination.suits(connection),
        check: (connection) => this.#check(connection),
        isHopeless: (error) => failsFast || classify(error, 'connect') === 'configuration',
        onLeak: (leak) => watch.leaked(leak),
      },
      limits,
      environment,
      watch,
      role.share,
    )
    watch.waiting = () => this.pool.waiting
    const { breaker } = watch
    if (breaker === undefined) return
    const look = watchForReturn({
      clock: environment.clock,
      pool: this.pool,
      breaker,
      release: (slot) => this.release(slot),
    })
    watch.whenOpened = () => {
      this.pool.turnAwayWaiting(() => breaker.refusal())
      look()
    }
  }

  /** A connection at once, when one is ready to be used and the breaker is closed; undefined when `take` is needed. */
  tryTake(holder: Holder | undefined): ConnectionSlot | undefined {
    const { breaker } = this.watch
    return breaker === undefined || breaker.isClosed || holder?.isUrgent === true ? this.pool.tryAcquire() : undefined
  }

  /**
   * A connection, now or when one comes free. Every caller that does not get one at once comes through here.
   *
   * @throws what `ResourcePool.acquire` throws; BreakerOpenError at once while the breaker is open, and when it opens
   * during the wait, unless the holder is urgent
   */
  async take(limit: Limit, holder: Holder | undefined): Promise<ConnectionSlot> {
    const { clock } = this.environment
    const since = clock.now()
    for (;;) {
      try {
        return await this.#takeOnce(limit, holder)
      } catch (error) {
        // Where another host may take this one's place, that is waited for, as long as the role allows.
        const left = since + this.#unavailableTimeoutMs - clock.now()
        if (left <= 0 || this.pool.isEnding || classify(error) !== 'unavailable') throw error
        const reached = await sleep(Math.min(left, turnMs), clock, limit)
        if (reached !== undefined) throw givenUp(reached, 'not-sent', error)
      }
    }
  }

  async #takeOnce(limit: Limit, holder: Holder | undefined): Promise<ConnectionSlot> {
    const { breaker } = this.watch
    const since = this.environment.clock.now()
    try {
      if (breaker === undefined || holder?.isUrgent === true) return await this.pool.acquire(limit, holder)
      const permit = breaker.admit()
      try {
        const slot = await this.pool.acquire(limit, holder)
        breaker.taken(permit, slot.resource)
        return slot
      } catch (error) {
        breaker.refused(permit, error)
        throw error
      }
    } catch (error) {
      this.watch.refused(error, this.environment.clock.now() - since)
      throw error
    }
  }

  /** One statement on whatever connection is free, in a transaction of its own. */
  async query(config: StatementConfig, limit: Limit, holder: Holder | undefined): Promise<QueryResult> {
    for (;;) {
      const slot = this.tryTake(holder) ?? (await this.take(limit, holder))
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
    const opening = this.#openOne()
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

  async #open(signal: AbortSignal): Promise<Connection> {
    const { clock } = this.environment
    const since = clock.now()
    try {
      const connection = await this.#openOne(signal)
      connection.observer = this.watch
      connection.onLost((cause) => {
        if (!connection.isTornDown) this.watch.lost(connection, cause)
        this.pool.lost(connection)
      })
      this.onOpened?.(connection)
      this.watch.connected(connection, clock.now() - since)
      return connection
    } catch (error) {
      // One that the end of the pool has cut short says nothing of the server.
      if (!signal.aborted) this.watch.connectFailed(error, clock.now() - since)
      throw error
    }
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
