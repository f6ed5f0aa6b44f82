import type { Connection } from '../connection/connection.js'
import type { Operation } from '../connection/operation.js'
import type { OperationEndListener } from '../connection/pipeline.js'
import type { QueryResult } from '../connection/result.js'
import { Statement, type StatementConfig } from '../connection/statement.js'
import type { StatementTexts } from '../connection/statement-cache.js'
import { nextMicrotask } from '../deadline/clock.js'
import type { Deadline } from '../deadline/deadline.js'
import { classify, endsSession } from '../errors/classify.js'
import { beginRefused } from '../errors/operation-errors.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { Slot } from '../resource-pool/resource.js'
import type { ResourcePool } from '../resource-pool/resource-pool.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { ServerObserver } from './observer.js'
import type { ResolvedPipeliningOptions, StatementOptions } from './server-options.js'

/** Who finds a connection for a statement. */
export interface Placement {
  begin(statement: PooledStatement): void
  /** Whether a statement that was sent may be sent again, its connection being lost. */
  mayRepeat(text: string): boolean
}

/** A statement that runs on whatever connection the pool has for it. */
class PooledStatement extends Statement {
  readonly deadline: Deadline
  readonly holder: WorkContext | undefined
  readonly #placement: Placement
  /** A read is sent once more, and not again: a statement that ends its own session must not end one after the other. */
  #wasRepeated = false

  constructor(config: StatementConfig, deadline: Deadline, holder: WorkContext | undefined, placement: Placement) {
    super(config)
    this.deadline = deadline
    this.holder = holder
    this.#placement = placement
  }

  override answer(error: unknown): void {
    if (error !== undefined && this.givenUp === undefined && this.#runsAgain(error)) {
      // The connection was lost before: the pool sees to that, and not the caller. In a microtask, as the pool may be in the
      // middle of closing that connection.
      nextMicrotask(() => {
        this.reset()
        this.#placement.begin(this)
      })
    } else super.answer(error)
  }

  /** Whether it is sent again: nothing of it has run, or it only reads and was sent once. */
  #runsAgain(error: unknown): boolean {
    const isLost = error instanceof ConnectionLostError
    if (isLost && !error.sent) return true
    // Or the server has reported that it ends the session.
    if (!isLost && !(endsSession(error) && classify(error) === 'connection')) return false
    if (this.#wasRepeated || !this.#placement.mayRepeat(this.text)) return false
    this.#wasRepeated = true
    return true
  }
}

/**
 * A pipelined connection that is never empty would never be released: it takes no statement after this time, so that it
 * drains and is released, and the pool can check its age and uses.
 */
const longestMs = 1_000
/** From this slowness on, a statement gets a connection to itself. */
const tooSlow = 0.2
/** How much of its slowness an SQL text keeps at each fast run. */
const memory = 15 / 16
/** What takes so many times `slowAfterMs` is wholly slow at once. */
const whollySlow = 5
/** The weight of the newest statement in what is typical. */
const weight = 1 / 16
/** One statement in so many that would wait too long after another is sent all the same, to see whether it does. */
const probeOneIn = 128
/** How fast the shortest round trip is forgotten, should the network have become slower. */
const drift = 1.0005

/** Where connections come from. */
export interface PipeliningServer {
  readonly pool: ResourcePool<Connection>
  /** Whether statements may be sent on connections that others use: not to a server that fails. */
  readonly mayShare: boolean
  tryAcquire(holder: WorkContext | undefined): Slot<Connection> | undefined
  /** Sees who shares a connection without having waited for it in the queue of the pool, which does not see it. */
  readonly observer: Pick<ServerObserver, 'checkouts'>
  request(
    served: (slot: Slot<Connection>) => void,
    refused: (error: Error) => void,
    deadline: Deadline,
    holder: WorkContext | undefined,
    isSharing: boolean,
  ): void
}

/**
 * Single statements outside of transactions. Each takes an idle connection, or a new one while there may be more. When
 * all are in use, statements that are known to be fast are sent on connections that other such statements use: the
 * server then has the next one at hand when it has answered the one before.
 *
 * Callers that need a connection to themselves and those that share stand in ONE queue, first come, first served:
 * while anybody waits, nobody is sent past them.
 */
export class Pipelining {
  readonly #server: PipeliningServer
  readonly #pool: ResourcePool<Connection>
  readonly #release: (slot: Slot<Connection>) => void
  readonly #texts: StatementTexts
  readonly #options: ResolvedPipeliningOptions | undefined
  readonly #open: PipelinedConnection[] = []
  #shortestMs = Number.POSITIVE_INFINITY
  /** How long a statement on a pipelined connection keeps the server busy, on average: what one more has to wait for. Unknown at first. */
  #typicalMs = Number.POSITIVE_INFINITY
  #heldBack = 0
  /** Statements that were sent after others on the same connection, since the pool was made. */
  pipelined = 0

  readonly #isRepeatable: (text: string) => boolean

  /** @param purpose without `pipelining` nothing is ever shared */
  constructor(
    server: PipeliningServer,
    release: (slot: Slot<Connection>) => void,
    texts: StatementTexts,
    { pipelining: options, isRepeatable = never }: Partial<StatementOptions> = {},
  ) {
    this.#server = server
    this.#pool = server.pool
    this.#release = release
    this.#texts = texts
    this.#options = options
    this.#isRepeatable = isRepeatable
  }

  /** Connections that statements may share now. */
  get inUse(): number {
    return this.#open.length
  }

  /** Runs one statement outside of any transaction. */
  query(
    config: StatementConfig,
    deadline: Deadline,
    holder: WorkContext | undefined,
    why?: string,
  ): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const statement = new PooledStatement(config, deadline, holder, this)
      statement.known = this.#texts.of(config.text)
      if (statement.known.sql.effects.leavesOpen) {
        reject(beginRefused())
        return
      }
      statement.why = why
      statement.resolve = resolve
      statement.reject = reject
      this.begin(statement)
    })
  }

  /** Finds a connection for a statement of which nothing has been sent. */
  begin(statement: PooledStatement): void {
    const slot = this.#server.tryAcquire(statement.holder)
    statement.isSharing = this.#options !== undefined && mayShare(statement)
    if (slot !== undefined) this.#start(slot, statement)
    else {
      const pipelined =
        statement.isSharing && this.#pool.isSaturated && this.#server.mayShare ? this.#leastBusy() : undefined
      if (pipelined !== undefined) {
        this.#server.observer.checkouts?.acquired(pipelined.connection)
        this.#join(pipelined, statement)
      } else {
        const served = (given: Slot<Connection>): void => this.#start(given, statement)
        this.#server.request(served, statement.reject, statement.deadline, statement.holder, statement.isSharing)
      }
    }
  }

  /** Whether a statement that was sent may be sent again, its connection being lost. */
  mayRepeat(text: string): boolean {
    return !this.#pool.isEnding && this.#isRepeatable(text)
  }

  /** Makes a new connection of the pool one that statements can share. */
  attach(connection: Connection): void {
    connection.endListener = new PipelinedConnection(this, connection)
  }

  /** @internal An operation on a pipelined connection has ended. */
  onOperationEnd(pipelined: PipelinedConnection, operation: Operation | undefined, ranMs: number): void {
    if (operation instanceof PooledStatement) this.#learn(operation, ranMs)
    const { connection, slot } = pipelined
    if (slot === undefined) throw new Error('bug: a pipelined connection without a slot')
    if (connection.load > 0 && connection.isAlive) {
      if (pipelined.isShared) this.#fill(pipelined)
      return
    }
    this.#close(pipelined)
    this.#release(slot)
  }

  #start(slot: Slot<Connection>, statement: PooledStatement): void {
    const pipelined = slot.resource.endListener as PipelinedConnection
    if (pipelined.slot !== undefined) {
      this.#join(pipelined, statement)
      return
    }
    pipelined.slot = slot
    pipelined.isShared = statement.isSharing
    if (statement.isSharing) {
      pipelined.at = this.#open.length
      this.#open.push(pipelined)
    }
    slot.resource.start(statement, statement.deadline)
    if (pipelined.isShared && pipelined.slot === slot) this.#fill(pipelined)
  }

  #join(pipelined: PipelinedConnection, statement: PooledStatement): void {
    this.pipelined += 1
    pipelined.connection.start(statement, statement.deadline)
  }

  /** Sends the statements at the head of the queue, as far as there is room. */
  #fill(pipelined: PipelinedConnection): void {
    if (this.#pool.waiting === 0 || pipelined.slot === undefined || pipelined.isFilling) return
    // What is sent may end at once, which calls this again.
    pipelined.isFilling = true
    while (pipelined.slot !== undefined && this.#hasRoom(pipelined)) {
      if (this.#pool.joinSharing(pipelined.slot, 1) === 0) break
    }
    pipelined.isFilling = false
  }

  #close(pipelined: PipelinedConnection): void {
    if (pipelined.isShared) {
      const last = this.#open.pop()
      if (last !== undefined && last !== pipelined) {
        this.#open[pipelined.at] = last
        last.at = pipelined.at
      }
    }
    pipelined.slot = undefined
    pipelined.isShared = false
  }

  #leastBusy(): PipelinedConnection | undefined {
    let best: PipelinedConnection | undefined
    let least = Number.POSITIVE_INFINITY
    for (const pipelined of this.#open) {
      const { load } = pipelined.connection
      if (load >= least || !this.#hasRoom(pipelined)) continue
      best = pipelined
      least = load
    }
    return best
  }

  #hasRoom({ connection, slot }: PipelinedConnection): boolean {
    const options = this.#options
    if (options === undefined || slot === undefined) return false
    return (
      connection.load < options.maxDepth &&
      connection.bytesInFlight < options.maxBytes &&
      connection.takesSharing &&
      // A statement that takes longer than it should: those after it would wait for long.
      connection.headRanMs <= this.#shortestMs + options.slowAfterMs &&
      this.#pool.heldMs(slot) <= longestMs &&
      this.#pool.mayJoin(slot) &&
      // With statements that take long, callers wait better in the queue, which serves and sheds in order. On average the
      // one that runs now is half done.
      ((connection.load - 0.5) * this.#typicalMs < options.slowAfterMs || this.#probes(connection, options))
    )
  }

  /**
   * A server far away and one that is slow look the same, until two statements have been sent one after the other: the
   * second takes no round trip of its own.
   */
  #probes(connection: Connection, { slowAfterMs }: ResolvedPipeliningOptions): boolean {
    if (connection.load > 1 || slowAfterMs === 0) return false
    this.#heldBack += 1
    return this.#heldBack % probeOneIn === 1
  }

  /** After a slow statement none is sent for a while. The round trip does not count as slowness. */
  #learn(statement: PooledStatement, ranMs: number): void {
    const { known } = statement
    if (statement.wasAlone) this.#shortestMs = Math.min(ranMs, this.#shortestMs * drift)
    if (known === undefined || this.#options === undefined) return
    const { slowAfterMs } = this.#options
    // The server was at work for all of that time, except while the statement was on its way to it, which is at most as
    // long as the shortest round trip.
    const atLeast = ranMs - Math.max(0, this.#shortestMs - statement.aheadMs)
    // One that took very long, or a pause of this process, means no more than that it was slow.
    const busyMs = Math.min(Math.max(atLeast, Math.min(this.#typicalMs, ranMs)), 2 * slowAfterMs)
    if (this.#typicalMs === Number.POSITIVE_INFINITY) this.#typicalMs = busyMs
    else this.#typicalMs += (busyMs - this.#typicalMs) * weight
    const over = ranMs - this.#shortestMs - slowAfterMs
    if (over <= 0) known.slowness = known.slowness === undefined ? 0 : known.slowness * memory
    else {
      const slowness = Math.min(1, (ranMs - this.#shortestMs) / (whollySlow * Math.max(slowAfterMs, 1)))
      known.slowness = Math.max(slowness, known.slowness ?? 0)
    }
  }
}

/** One connection while statements outside of transactions use it. */
class PipelinedConnection implements OperationEndListener {
  readonly #pipelining: Pipelining
  readonly connection: Connection
  /** Set while it is in use here. */
  slot: Slot<Connection> | undefined
  /** Whether others may join; then `at` is its place among those. */
  isShared = false
  at = 0
  isFilling = false

  constructor(pipelining: Pipelining, connection: Connection) {
    this.#pipelining = pipelining
    this.connection = connection
  }

  onOperationEnd(operation: Operation | undefined, ranMs: number): void {
    if (this.slot !== undefined) this.#pipelining.onOperationEnd(this, operation, ranMs)
  }
}

/** Known to be fast, and nothing but rows: SQL text that has never run is not known to be fast. */
function mayShare({ known }: PooledStatement): boolean {
  return known?.slowness !== undefined && known.sql.isAboutRows && known.slowness < tooSlow
}

const never = (): boolean => false
