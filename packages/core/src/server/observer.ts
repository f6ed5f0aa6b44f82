import { AsyncLocalStorage } from 'node:async_hooks'
import type { TracingChannel } from 'node:diagnostics_channel'
import type { Connection } from '../connection/connection.js'
import type { ObservedOperation, StatementObserver } from '../connection/operation.js'
import type { Reported } from '../connection/reported.js'
import { type ErrorSummary, isWriteRefused, summaryOf } from '../errors/classify.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { type CallerContext, inNoContext, queryTraces } from '../observe/context.js'
import type { EmitOnly, Publisher } from '../observe/emitter.js'
import { noop } from '../observe/noop.js'
import { callUser, warnOfListener } from '../observe/user-callback.js'
import type { BreakerTransition, ResolvedBreakerOptions } from '../resilience/circuit-breaker.js'
import { ServerBreaker } from '../resilience/server-breaker.js'
import type { CloseReason, LeakReport, PoolEnvironment, PoolObserver, Slot } from '../resource-pool/resource.js'
import type { QueryEvent, ServerEvents, ServerRole } from './events.js'
import { refusalKind, ServerCounters } from './metrics.js'

/** The object that all messages about one statement share. Whoever traces may put a span on it. */
export interface QueryTrace {
  readonly pool: string
  readonly address: string
  readonly role: string
  readonly pid: number
  /** The SQL text as it is sent; values are never reported. Of a batch its different SQL texts, joined by `; `. */
  readonly text: string
  readonly name: string | undefined
  /** How many statements a batch has; undefined for what is no batch. */
  readonly batchSize: number | undefined
  /** There from `asyncStart` on. */
  command?: string | undefined
  rowCount?: number | null | undefined
  /** Milliseconds until its first rows were here: of a stream, a cursor, a COPY TO. There from `asyncStart` on. */
  firstRowMs?: number | undefined
  /** There at `error`, and from then on. */
  error?: ErrorSummary
}

/** A statement that is traced, and the context that its `start` has left. */
interface Running {
  readonly trace: QueryTrace
  readonly context: CallerContext
}

/**
 * Statements on the channels `tracing:pg-lifeguard:query:start`, `end`, `asyncStart`, `asyncEnd` and `error`, as
 * https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel has it for a function that returns a promise.
 * `tracePromise` itself would put the rows and the whole error on the message.
 */
class QueryTraces {
  readonly #channels = queryTraces as TracingChannel<unknown, QueryTrace>
  readonly #running = new WeakMap<Reported, Running>()

  /**
   * In the context of the caller, with the stores that are bound to `start`. What is published about the statement later
   * has the same, as with `tracePromise`.
   */
  start(statement: Reported, caller: CallerContext, trace: QueryTrace): void {
    // The pieces of a stream are one statement.
    if (this.#running.has(statement)) return
    const { start, end } = this.#channels
    caller(() =>
      start.runStores(trace, () => {
        this.#running.set(statement, { trace, context: AsyncLocalStorage.snapshot() })
        end.publish(trace)
      }),
    )
  }

  settle(statement: Reported, error: unknown): void {
    const running = this.#running.get(statement)
    if (running === undefined) return
    this.#running.delete(statement)
    const { trace, context } = running
    context(() => this.#settle(statement, trace, error))
  }

  #settle(statement: Reported, trace: QueryTrace, error: unknown): void {
    if (error !== undefined) {
      trace.error = summaryOf(error)
      this.#channels.error.publish(trace)
    } else {
      const { command, rowCount } = statement.reportedOutcome
      trace.command = command
      trace.rowCount = rowCount
    }
    if (statement.firstRowMs !== undefined) trace.firstRowMs = statement.firstRowMs
    this.#channels.asyncStart.publish(trace)
    this.#channels.asyncEnd.publish(trace)
  }
}

/** What an observer reports, and to whom. */
export interface ServerObserverOptions {
  /** The pool's name. */
  readonly pool: string
  readonly role: ServerRole
  /** Why this server serves a statement, where the statement has no reason of its own. */
  readonly why: string
  readonly events: EmitOnly<ServerEvents>
  /** A statement that takes longer is slow; `Infinity` for none. */
  readonly slowQueryMs: number
  /** Undefined for no breaker. */
  readonly breaker: ResolvedBreakerOptions | undefined
  readonly onLeak: (leak: LeakReport) => void
}

/**
 * Sees each connection as its users get and release it. `pool.asPgPool()` has one, to emit what a `pg.Pool` emits. Called
 * in the middle of a change: it must not throw.
 */
export interface CheckoutObserver {
  /** It is new, and nobody has had it yet. */
  opened(connection: Connection): void
  /** A caller has got it, or one more caller who shares it. */
  acquired(connection: Connection): void
  /** All who had it have released it. */
  released(connection: Connection): void
}

/**
 * Sees all that happens on one server: keeps the numbers, feeds the circuit breaker, and reports to listeners. No event is
 * made, and no time is read for one, while nobody listens.
 */
export class ServerObserver implements PoolObserver<Connection>, StatementObserver<Connection> {
  readonly counters = new ServerCounters()
  readonly breaker: ServerBreaker<Connection> | undefined
  /** Which server it is at the moment, for what is about no connection; changes when another one takes its place. */
  address: string
  readonly role: ServerRole
  /** Who is called for each connection that is opened, acquired and released; nobody until it is set. */
  checkouts: CheckoutObserver | undefined
  /** Called when the breaker has opened; set by the server. */
  onBreakerOpen: () => void = noop
  /** Called when a write was refused as the server is read-only; whether the connection is replaced. Set by the server. */
  onWriteRefused: ((connection: Connection) => boolean) | undefined
  /** How many callers wait; set by the server. */
  waiting: () => number = () => 0
  readonly #options: ServerObserverOptions
  readonly #environment: PoolEnvironment
  readonly #events: EmitOnly<ServerEvents>
  readonly #traces = new QueryTraces()
  readonly #acquire: Publisher<ServerEvents['acquire']>
  readonly #release: Publisher<ServerEvents['release']>
  readonly #query: Publisher<QueryEvent>
  readonly #slowQuery: Publisher<QueryEvent>

  constructor(address: string, options: ServerObserverOptions, environment: PoolEnvironment) {
    const { events, breaker, role } = options
    this.role = role
    this.address = address
    this.#options = options
    this.#environment = environment
    this.#events = events
    this.#acquire = events.channel('acquire')
    this.#release = events.channel('release')
    this.#query = events.channel('query')
    this.#slowQuery = events.channel('slow-query')
    this.breaker =
      breaker === undefined
        ? undefined
        : new ServerBreaker(
            () => this.address,
            breaker,
            environment,
            (transition, error) => this.#breakerChanged(transition, error),
          )
  }

  // Called by the pool

  acquired(slot: Slot<Connection>, waitMs: number): void {
    this.counters.acquired(waitMs)
    this.checkouts?.acquired(slot.resource)
    if (this.#acquire.hasSubscribers) {
      const event = { ...this.#ofConnection(slot.resource), waitMs, waiting: this.waiting() }
      inNoContext(() => this.#acquire.publish(event))
    }
  }

  joined({ resource }: Slot<Connection>, waitMs: number): void {
    this.counters.acquired(waitMs)
    this.checkouts?.acquired(resource)
  }

  released(slot: Slot<Connection>): void {
    this.breaker?.released(slot.resource)
    this.checkouts?.released(slot.resource)
    if (this.#release.hasSubscribers) {
      const heldMs = this.#environment.clock.now() - slot.busySince
      const event = { ...this.#ofConnection(slot.resource), heldMs }
      inNoContext(() => this.#release.publish(event))
    }
  }

  closing(slot: Slot<Connection>, reason: CloseReason): void {
    this.#emit('close', () => {
      const ageMs = this.#environment.clock.now() - slot.openedAt
      return { ...this.#ofConnection(slot.resource), reason, ageMs, uses: slot.uses }
    })
  }

  leaked(leak: LeakReport): void {
    inNoContext(() => callUser(() => this.#options.onLeak(leak), warnOfListener))
    const { heldMs, acquireStack } = leak
    this.#emit(leak.returned ? 'leak-returned' : 'leak', () => ({ ...this.#ofServer(), heldMs, acquireStack }))
  }

  // Called by the server

  connected(connection: Connection, durationMs: number): void {
    this.breaker?.signOfLife()
    this.breaker?.serverAnswers()
    this.#emit('connect', () => ({ ...this.#ofConnection(connection), durationMs }))
  }

  connectFailed(error: unknown, durationMs: number): void {
    this.breaker?.connectFailed(error)
    this.#emit('connect-failed', () => ({ ...this.#ofServer(), durationMs, error }))
  }

  /** A connection ended that nobody had ended. */
  lost(connection: Connection, error: unknown): void {
    this.#emit('error', () => ({ ...this.#ofConnection(connection), error }))
  }

  /** A caller got no connection, after so long. */
  refused(error: unknown, waitMs: number): void {
    const kind = refusalKind(error)
    this.counters.refused(kind)
    if (kind === 'shed') {
      this.#emit('shed', () => ({ ...this.#ofServer(), waitMs, waiting: this.waiting() }))
      return
    }
    if (kind === 'poolBusy' || kind === 'serverUnavailable') {
      const reason = kind === 'poolBusy' ? 'pool-busy' : 'server-unavailable'
      this.#emit('timeout', () => ({ ...this.#ofServer(), reason, waitMs, waiting: this.waiting() }))
      return
    }
    const reason = turnedAway[kind]
    if (reason === undefined) return
    this.#emit('turned-away', () => ({ ...this.#ofServer(), reason, waiting: this.waiting() }))
  }

  // Called by the connections

  asked(statement: ObservedOperation, connection: Connection): number {
    if (statement.caller !== undefined) this.#trace(statement, connection)
    return this.breaker === undefined ? 0 : this.breaker.epoch
  }

  answered(
    statement: ObservedOperation,
    connection: Connection,
    mark: number,
    error: unknown,
    durationMs: number | undefined,
  ): void {
    // How long a submittable takes depends on who reads its rows.
    if (durationMs !== undefined && !statement.isSubmittable)
      this.breaker?.answered(connection, mark, error, durationMs)
    if (error !== undefined) this.#lookForReadOnly(connection, error)
    this.#answered(statement, connection, error, durationMs)
  }

  /** A write that was refused: by the server, or only by a transaction that its caller has made read-only. */
  #lookForReadOnly(connection: Connection, error: unknown): void {
    const { onWriteRefused } = this
    if (onWriteRefused === undefined || !isWriteRefused(error) || connection.reports.isReadWrite === true) return
    if (onWriteRefused(connection)) this.#emit('read-only', () => ({ ...this.#ofConnection(connection), error }))
  }

  answeredLate(): void {
    this.breaker?.signOfLife()
  }

  /** For connections beside the pool, which serve the library's own statements: the breaker is about the pool's. */
  readonly beside: StatementObserver<Connection> = {
    asked: (statement, connection) => {
      if (statement.caller !== undefined) this.#trace(statement, connection)
      return 0
    },
    answered: (statement, connection, _mark, error, durationMs) =>
      this.#answered(statement, connection, error, durationMs),
    answeredLate: noop,
  }

  #trace(operation: ObservedOperation, connection: Connection): void {
    const statement = operation.whole ?? operation
    const { reportedText: text, name, batchSize, caller } = statement
    if (caller === undefined || (statement === operation && !operation.isReported)) return
    this.#traces.start(statement, caller, {
      pool: this.#options.pool,
      ...this.#ofConnection(connection),
      text,
      name,
      batchSize,
    })
  }

  #answered(
    operation: ObservedOperation,
    connection: Connection,
    error: unknown,
    durationMs: number | undefined,
  ): void {
    if (operation.isReported) {
      this.#report(operation, connection, error, durationMs)
      return
    }
    // A validation is nobody's statement.
    const { whole } = operation
    if (whole === undefined) return
    whole.report ??= (why, ranMs) => this.#report(whole, connection, why, ranMs)
    whole.fetched(operation.result, durationMs)
  }

  #report(statement: Reported, connection: Connection, error: unknown, durationMs: number | undefined): void {
    this.#traces.settle(statement, error)
    // One does not count that had no connection left to be sent on: it goes to another one.
    if (durationMs === undefined && error instanceof ConnectionLostError) return
    const isSlow = durationMs !== undefined && durationMs > this.#options.slowQueryMs
    this.counters.answered(error, durationMs, isSlow)
    if (!this.#query.hasSubscribers && !(isSlow && this.#slowQuery.hasSubscribers)) return
    const event = this.#queryEvent(statement, connection, error, durationMs)
    // In no context: this one is that of whoever gave it up, or of the socket.
    inNoContext(() => {
      this.#query.publish(event)
      if (isSlow) this.#slowQuery.publish(event)
    })
  }

  #queryEvent(statement: Reported, connection: Connection, error: unknown, durationMs: number | undefined): QueryEvent {
    const { command, rowCount } = error === undefined ? statement.reportedOutcome : failed
    return {
      ...this.#ofConnection(connection),
      text: statement.reportedText,
      name: statement.name,
      batchSize: statement.batchSize,
      durationMs: durationMs ?? 0,
      firstRowMs: statement.firstRowMs,
      command,
      rowCount,
      why: statement.why ?? this.#options.why,
      error: error === undefined ? undefined : summaryOf(error),
    }
  }

  /**
   * Emits what belongs to no caller: it happens while some caller opens a connection, releases one or asks for one, and
   * none of their contexts is that of the listener.
   */
  #emit<Name extends keyof ServerEvents>(name: Name, make: () => ServerEvents[Name]): void {
    inNoContext(() => this.#events.emit(name, make))
  }

  #breakerChanged(transition: BreakerTransition, error: unknown): void {
    if (transition.to === 'open') this.onBreakerOpen()
    const retryAfterMs = this.breaker?.stats().retryAfterMs ?? 0
    this.#emit('breaker', () => ({ ...this.#ofServer(), ...transition, retryAfterMs, error }))
  }

  #ofServer(): { readonly address: string; readonly role: ServerRole } {
    return { address: this.address, role: this.role }
  }

  /** An event about a connection names the server of that connection, whichever is the primary by now. */
  #ofConnection({ address, pid }: Connection): {
    readonly address: string
    readonly role: ServerRole
    readonly pid: number
  } {
    return { address, role: this.role, pid }
  }
}

const failed = { command: undefined, rowCount: undefined } as const

const turnedAway = {
  breakerOpen: 'breaker-open',
  queueFull: 'queue-full',
  selfDeadlock: 'self-deadlock',
  poolClosed: 'pool-closed',
  givenUp: undefined,
  other: undefined,
} as const
