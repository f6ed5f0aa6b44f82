import type { Connector } from '../connection/connect/connector.js'
import type { Connection } from '../connection/connection.js'
import type { QueryResult } from '../connection/result.js'
import { type StatementConfig, signOfLife } from '../connection/statement.js'
import { StatementTexts } from '../connection/statement-cache.js'
import type { Clock } from '../deadline/clock.js'
import { Deadline, givenUp, sleep } from '../deadline/deadline.js'
import { classify } from '../errors/classify.js'
import { markOwn, ownedBy } from '../errors/origin.js'
import { inNoContext } from '../observe/context.js'
import { noop } from '../observe/noop.js'
import type { Permit } from '../resilience/circuit-breaker.js'
import type { ServerBreaker } from '../resilience/server-breaker.js'
import type { ResolvedPoolLimits } from '../resource-pool/limits.js'
import type { PoolEnvironment, Slot } from '../resource-pool/resource.js'
import { ResourcePool } from '../resource-pool/resource-pool.js'
import { urgent, type WorkContext } from '../resource-pool/wait-queue.js'
import { Beside, type BesideUse } from './beside.js'
import { useOf } from './connection-use.js'
import type { ServerObserver } from './observer.js'
import { Pipelining } from './pipelining.js'
import { isRefusal, type PrepareConnection, prepareNew } from './prepare-new.js'
import { SessionReset } from './reset.js'
import type { ServerOptions } from './server-options.js'

/** A server, as far as it matters to the probe. */
interface ProbedServer {
  readonly clock: Clock
  readonly pool: ResourcePool<Connection>
  readonly breaker: ServerBreaker<Connection>
  release(slot: Slot<Connection>): void
}

/** Between two probes. */
const everyMs = 100
/** How long one probe may take. Short, as the end of the pool waits for it. */
const boundMs = 500

/**
 * Probes whether a server that was out of reach is back while its breaker is open and no caller gets through to find out.
 * The probe waits in the pool's queue as a caller would, so that there are neither more connections than `max` nor more
 * attempts than the connect gate allows. Returns the function that begins.
 */
function probeForReturn(server: ProbedServer): () => void {
  const { clock, pool, breaker } = server
  let isDue = false
  const later = (): void => {
    if (isDue) return
    isDue = true
    clock.setTimer(everyMs, () => void probe(), true)
  }
  async function probe(): Promise<void> {
    isDue = false
    if (!breaker.isOpenForReach || pool.isEnding) return
    if (await answers(server)) breaker.serverAnswers()
    else later()
  }
  return later
}

async function answers({ clock, pool, release }: ProbedServer): Promise<boolean> {
  const deadline = Deadline.after(boundMs, clock)
  try {
    const slot = await pool.acquire(deadline, urgent)
    try {
      await slot.resource.run(signOfLife({ text: '' }), deadline)
      return true
    } finally {
      release(slot)
    }
  } catch {
    // Not back yet, whatever the error; another probe follows.
    return false
  }
}

/**
 * So many at once, and then only as fast as they are refilled: a token bucket. Pure: time comes in as an argument.
 * https://en.wikipedia.org/wiki/Token_bucket
 */
export class RateLimit {
  readonly #most: number
  readonly #perMs: number
  #left: number
  #at = Number.NEGATIVE_INFINITY

  constructor(most: number, perMs: number) {
    this.#most = most
    this.#perMs = perMs
    this.#left = most
  }

  /** Takes one, if there is one. */
  tryAcquire(now: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMs)
    this.#at = now
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}

/** How long the validation of an idle connection may take. */
const checkBoundMs = 1_000
/** In which time every connection may be replaced, where the server goes on refusing writes. */
const turnoverMs = 5_000
/** How often a new connection shows at least whether the address of a server that refuses writes leads elsewhere by now. */
const lookMs = 500
/** The pause before a caller who goes on waiting for a server asks again. */
const turnMs = 20

/** A connection of the pool, with what the pool remembers of it. */
export type ConnectionSlot = Slot<Connection>

/** One PostgreSQL server: the pool of connections to it, and the reset of those that are released. */
export class Server {
  readonly pool: ResourcePool<Connection>
  readonly environment: PoolEnvironment
  /** Sees what happens; keeps the numbers and the circuit breaker. */
  readonly observer: ServerObserver
  readonly #openOne: (signal?: AbortSignal) => Promise<Connection>
  readonly #unavailableTimeoutMs: number
  readonly pipelining: Pipelining
  /** The sessions beside the pool. */
  readonly beside = new Beside()
  readonly #connector: Connector
  readonly #limits: ResolvedPoolLimits
  readonly #reset: SessionReset
  readonly #prepare: PrepareConnection | undefined
  /** What is known of the SQL texts that run here. */
  readonly #texts: StatementTexts
  readonly #onlyReads: ((text: string) => boolean) | undefined
  /** Whether the session that was opened last has reported that it takes writes. */
  #leadsToWriter = false

  constructor(
    connector: Connector,
    limits: ResolvedPoolLimits,
    environment: PoolEnvironment,
    observer: ServerObserver,
    purpose: ServerOptions = {},
  ) {
    this.environment = environment
    const { open = (signal) => connector.open(signal), failsFast = false } = purpose
    this.#openOne = open
    this.#unavailableTimeoutMs = purpose.unavailableTimeoutMs ?? 0
    this.observer = observer
    this.#connector = connector
    this.#limits = limits
    this.#reset = new SessionReset(purpose.resetMode, environment.clock)
    this.#prepare = purpose.prepare
    this.#onlyReads = purpose.statements?.onlyReads
    this.#texts = new StatementTexts(purpose.statements?.cacheSize ?? 0, purpose.statements?.schema)
    this.pool = new ResourcePool<Connection>(
      {
        address: connector.address,
        // In no context: it serves many callers.
        open: (signal) => inNoContext(() => this.#open(signal)),
        close: (connection) => connection.close(),
        destroy: (connection) => {
          connection.terminate()
          return connection.whenClosed()
        },
        describe: useOf,
        isAlive: (connection) => connection.isAlive,
        suits: (connection) => !connection.refusesWrites && connector.suits(connection),
        check: (connection) => this.#check(connection),
        isPermanent: (error) => !isRefusal(error) && (failsFast || classify(error, 'connect') === 'configuration'),
        isRefusal,
        onLeak: (leak) => observer.leaked(leak),
      },
      limits,
      environment,
      observer,
      purpose.share,
    )
    this.pipelining = new Pipelining(this, (slot) => this.release(slot), this.#texts, purpose.statements)
    observer.waiting = () => this.pool.waiting
    if (connector.mayWrite) {
      const refusals = new RateLimit(limits.max, Math.max(limits.max / turnoverMs, 1 / lookMs))
      observer.onWriteRefused = (connection) => {
        if (connection.refusesWrites) return false
        // Where every session refuses them, dialing anew for each write that fails would be a storm. When the newest one
        // takes them, the address leads elsewhere by now, and those that are left lead to where it did before.
        if (!this.#leadsToWriter && !refusals.tryAcquire(environment.clock.now())) return false
        connection.refusesWrites = true
        return true
      }
    }
    const { breaker } = observer
    if (breaker === undefined) return
    const probe = probeForReturn({
      clock: environment.clock,
      pool: this.pool,
      breaker,
      release: (slot) => this.release(slot),
    })
    observer.onBreakerOpen = () => {
      this.pool.rejectWaiting(() => breaker.refusal())
      probe()
    }
  }

  /** Which server it is at the moment: `127.0.0.1:5432`. */
  get address(): string {
    return this.observer.address
  }

  /** Whether statements may be sent on connections that others use: not to a server that fails. */
  get mayShare(): boolean {
    return this.observer.breaker?.isClosed !== false
  }

  /** A connection at once, when one is ready to be used and the breaker is closed; undefined when it is to be waited for. */
  tryAcquire(holder: WorkContext | undefined): ConnectionSlot | undefined {
    const { breaker } = this.observer
    return breaker === undefined || breaker.isClosed || holder?.isUrgent === true ? this.pool.tryAcquire() : undefined
  }

  /** A connection: itself, when `tryAcquire` gives one; else a promise of one, see `request`. */
  acquire(deadline: Deadline, holder: WorkContext | undefined): ConnectionSlot | Promise<ConnectionSlot> {
    const slot = deadline.reached() === undefined ? this.tryAcquire(holder) : undefined
    return slot ?? new Promise((resolve, reject) => this.request(resolve, reject, deadline, holder))
  }

  /**
   * A connection, now or when one comes free. Every caller that does not get one at once comes through here.
   *
   * @param refused gets what `ResourcePool.acquire` throws; BreakerOpenError at once while the breaker is open, and when it
   * opens during the wait, unless the holder is urgent
   * @param isSharing see `ResourcePool.request`
   */
  request(
    served: (slot: ConnectionSlot) => void,
    refused: (error: Error) => void,
    deadline: Deadline,
    holder: WorkContext | undefined,
    isSharing = false,
  ): void {
    const { clock } = this.environment
    const since = clock.now()
    const ask = (): void => {
      this.#requestOnce(
        served,
        (error) => {
          // Where another server may take this one's place, that is waited for, as long as its options allow.
          const left = since + this.#unavailableTimeoutMs - clock.now()
          if (left <= 0 || this.pool.isEnding || classify(error) !== 'unavailable') refused(error)
          else {
            void sleep(Math.min(left, turnMs), clock, deadline).then((reached) => {
              if (reached === undefined) ask()
              else refused(ownedBy(givenUp(reached, 'not-sent', error), this.environment, this.address))
            })
          }
        },
        deadline,
        holder,
        isSharing,
      )
    }
    ask()
  }

  #requestOnce(
    served: (slot: ConnectionSlot) => void,
    refused: (error: Error) => void,
    deadline: Deadline,
    holder: WorkContext | undefined,
    isSharing: boolean,
  ): void {
    const { breaker } = this.observer
    const { clock } = this.environment
    const since = clock.now()
    const reject = (error: Error): void => {
      markOwn(error, this.environment, this.address)
      this.observer.refused(error, clock.now() - since)
      refused(error)
    }
    if (breaker === undefined || holder?.isUrgent === true) {
      this.pool.request(served, reject, deadline, holder, isSharing)
      return
    }
    let permit: Permit
    try {
      permit = breaker.admit()
    } catch (error) {
      reject(error as Error)
      return
    }
    this.pool.request(
      (slot) => {
        breaker.acquired(permit, slot.resource)
        served(slot)
      },
      (error) => {
        breaker.refused(permit, error)
        reject(error)
      },
      deadline,
      holder,
      // A probe is one statement on one connection.
      isSharing && !permit.isProbe,
    )
  }

  /**
   * One statement on whatever connection is free, or shared with others, in a transaction of its own.
   *
   * @param why why this server was chosen, where there was a choice; for events
   */
  query(
    config: StatementConfig,
    deadline: Deadline,
    holder: WorkContext | undefined,
    why?: string,
  ): Promise<QueryResult> {
    return this.pipelining.query(config, deadline, holder, why)
  }

  /** The configuration as the options of `pg.Pool`. */
  pgOptions(): Readonly<Record<string, unknown>> {
    const { max, min, maxUses, idleTimeoutMs, maxLifetimeMs, acquireTimeoutMs } = this.#limits
    return {
      ...this.#connector.pgConfig(),
      max,
      min,
      maxUses: maxUses === 0 ? Number.POSITIVE_INFINITY : maxUses,
      idleTimeoutMillis: idleTimeoutMs,
      maxLifetimeSeconds: Number.isFinite(maxLifetimeMs) ? maxLifetimeMs / 1_000 : 0,
      connectionTimeoutMillis: Number.isFinite(acquireTimeoutMs) ? acquireTimeoutMs : 0,
    }
  }

  /**
   * Runs `fn` on a connection of its own, beside the pool, as a cancel request is: for a query that cannot wait for a pool
   * in which everybody waits for its result. At most as many at a time as `mostBeside` has.
   *
   * @param isReported whether what is run there is reported as the statements of the pool are
   */
  async runBeside<T>(
    use: BesideUse,
    fn: (connection: Connection) => Promise<T>,
    deadline: Deadline,
    isReported = false,
  ): Promise<T> {
    await this.beside.acquire(use, deadline, this.environment)
    const attempt = new AbortController()
    const opening = inNoContext(() => this.#openOne(attempt.signal)).then(
      (connection) => {
        connection.belongsTo = this.environment
        if (isReported) connection.observer = this.observer.beside
        // A connection beside the pool shows that the pool can connect too: it need not wait for its next attempt.
        this.observer.breaker?.serverAnswers()
        this.pool.retryNow()
        return connection
      },
      (error: unknown) => {
        throw ownedBy(error, this.environment, this.address)
      },
    )
    try {
      const connection = await deadline.within(opening).catch((error: unknown) => {
        // Nobody else could use it, and an attempt under way would hold up the end of the process.
        attempt.abort()
        throw error
      })
      return await fn(connection)
    } finally {
      // Also one that opens after all. The caller has had the error of a failure to open, or its own deadline.
      void opening.then((connection) => connection.close(), noop).then(() => this.beside.release(use))
    }
  }

  /**
   * Releases a connection. In the usual case, nothing running and no transaction open, it is free again at once; otherwise
   * it is reset first, after the caller has gone on, and destroyed when that fails. What an earlier user left open never
   * reaches the next one.
   */
  release(slot: ConnectionSlot): void {
    const connection = slot.resource
    if (!connection.isAlive) this.pool.destroy(slot)
    else if (this.#reset.isReusable(connection)) this.pool.release(slot)
    // The pool's own work, whoever had the connection.
    else void inNoContext(() => this.#resetAndRelease(slot))
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    const { clock } = this.environment
    const since = clock.now()
    try {
      const connection = await this.#openOne(signal)
      connection.belongsTo = this.environment
      connection.remember(this.#texts)
      if (this.#onlyReads !== undefined) connection.onlyReads = this.#onlyReads
      this.#leadsToWriter = connection.reports.isReadWrite === true
      if (this.#prepare !== undefined) {
        await prepareNew(connection, this.#prepare, this.#connector.deadline(signal))
      }
      this.pipelining.attach(connection)
      connection.observer = this.observer
      connection.onLost((cause) => {
        if (!connection.isTornDown) {
          this.observer.lost(connection, cause)
          this.pool.validateIdle()
        }
        this.pool.lost(connection)
      })
      this.observer.checkouts?.opened(connection)
      this.observer.connected(connection, clock.now() - since)
      return connection
    } catch (error) {
      markOwn(error, this.environment, this.address)
      // One that the end of the pool has aborted is not about the server.
      if (!signal.aborted) this.observer.connectFailed(error, clock.now() - since)
      throw error
    }
  }

  async #resetAndRelease(slot: ConnectionSlot): Promise<void> {
    if (await this.#reset.reset(slot.resource)) this.pool.release(slot)
    else this.pool.destroy(slot)
  }

  async #check(connection: Connection): Promise<boolean> {
    const deadline = Deadline.after(checkBoundMs, this.environment.clock)
    try {
      await connection.run(signOfLife({ text: '' }), deadline)
      return connection.isQuiet && connection.isAlive
    } catch {
      // Whatever was wrong, it cannot be used. The pool destroys it and tries the next one.
      return false
    }
  }
}
