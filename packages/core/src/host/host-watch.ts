import type { Announcer } from '../base/emitter.js'
import { inNoContext } from '../base/no-context.js'
import type { Told } from '../base/topic.js'
import { callUser, warnOfListener } from '../base/user-callback.js'
import { isWriteRefused } from '../errors/classify.js'
import { summaryOf } from '../errors/error-summary.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import type { ResolvedBreakerOptions } from '../policy/breaker-options.js'
import type { BreakerTransition } from '../policy/circuit-breaker.js'
import type { PoolEnvironment } from '../pool/pool-environment.js'
import type { CloseReason, PoolObserver } from '../pool/pool-observer.js'
import type { LeakReport } from '../pool/resource-factory.js'
import type { Slot } from '../pool/slot.js'
import type { Connection } from '../wire/connection.js'
import type { Operation } from '../wire/operation.js'
import type { Reported } from '../wire/reported.js'
import type { StatementObserver } from '../wire/statement-observer.js'
import { HostBreaker } from './host-breaker.js'
import { HostTally, refusalKind } from './host-counts.js'
import type { HostEvents, HostRole, QueryEvent } from './host-events.js'
import { QueryTraces } from './query-trace.js'

/** What is to be watched for, and who is told. */
export interface HostWatchOptions {
  /** The pool's name. */
  readonly pool: string
  readonly role: HostRole
  /** Why a statement that says nothing else of it is served by this host. */
  readonly why: string
  readonly events: Announcer<HostEvents>
  /** A statement that takes longer is slow; `Infinity` for none. */
  readonly slowQueryMs: number
  /** Undefined for no breaker. */
  readonly breaker: ResolvedBreakerOptions | undefined
  readonly onLeak: (leak: LeakReport) => void
}

/**
 * Sees all that happens on one host: keeps the numbers, feeds the circuit breaker, and tells whoever listens. No event is
 * made, and no time is read for one, while nobody does.
 */
export class HostWatch implements PoolObserver<Connection>, StatementObserver<Connection> {
  readonly tally = new HostTally()
  readonly breaker: HostBreaker<Connection> | undefined
  /** Which server it is at the moment, for what is about no connection; changes when another one takes its place. */
  where: string
  readonly role: HostRole
  /** Called when the breaker has opened; set by the host. */
  whenOpened: () => void = () => undefined
  /** Called when a write was refused as the server is read-only; whether the connection is replaced. Set by the host. */
  whenWriteRefused: ((connection: Connection) => boolean) | undefined
  /**
   * Called when a connection is handed out, also to one more who shares it, and when all have given it back; set by who
   * shows the pool as a `pg.Pool`.
   */
  whenAcquired: ((connection: Connection) => void) | undefined
  whenReleased: ((connection: Connection) => void) | undefined
  /** How many callers wait; set by the host. */
  waiting: () => number = () => 0
  readonly #options: HostWatchOptions
  readonly #environment: PoolEnvironment
  readonly #events: Announcer<HostEvents>
  readonly #traces = new QueryTraces()
  readonly #acquire: Told<HostEvents['acquire']>
  readonly #release: Told<HostEvents['release']>
  readonly #query: Told<QueryEvent>
  readonly #slowQuery: Told<QueryEvent>

  constructor(where: string, options: HostWatchOptions, environment: PoolEnvironment) {
    const { events, breaker, role } = options
    this.role = role
    this.where = where
    this.#options = options
    this.#environment = environment
    this.#events = events
    this.#acquire = events.topic('acquire')
    this.#release = events.topic('release')
    this.#query = events.topic('query')
    this.#slowQuery = events.topic('slow-query')
    this.breaker =
      breaker === undefined
        ? undefined
        : new HostBreaker(
            () => this.where,
            breaker,
            environment,
            (transition, error) => this.#breakerChanged(transition, error),
          )
  }

  // What the pool tells

  acquired(slot: Slot<Connection>, waitMs: number): void {
    this.tally.acquired(waitMs)
    this.whenAcquired?.(slot.resource)
    if (this.#acquire.isHeard) {
      const event = { ...this.#at(slot.resource), waitMs, waiting: this.waiting() }
      inNoContext(() => this.#acquire.tell(event))
    }
  }

  joined({ resource }: Slot<Connection>, waitMs: number): void {
    this.tally.acquired(waitMs)
    this.whenAcquired?.(resource)
  }

  released(slot: Slot<Connection>): void {
    this.breaker?.gaveBack(slot.resource)
    this.whenReleased?.(slot.resource)
    if (this.#release.isHeard) {
      const heldMs = this.#environment.clock.now() - slot.busySince
      const event = { ...this.#at(slot.resource), heldMs }
      inNoContext(() => this.#release.tell(event))
    }
  }

  closing(slot: Slot<Connection>, reason: CloseReason): void {
    this.#say('close', () => {
      const ageMs = this.#environment.clock.now() - slot.openedAt
      return { ...this.#at(slot.resource), reason, ageMs, uses: slot.uses }
    })
  }

  leaked(leak: LeakReport): void {
    inNoContext(() => callUser(() => this.#options.onLeak(leak), warnOfListener))
    const { heldMs, acquireStack } = leak
    this.#say(leak.returned ? 'leak-returned' : 'leak', () => ({ ...this.#host(), heldMs, acquireStack }))
  }

  // What the host tells

  connected(connection: Connection, durationMs: number): void {
    this.breaker?.signOfLife()
    this.breaker?.hostAnswers()
    this.#say('connect', () => ({ ...this.#at(connection), durationMs }))
  }

  connectFailed(error: unknown, durationMs: number): void {
    this.breaker?.connectFailed(error)
    this.#say('connect-failed', () => ({ ...this.#host(), durationMs, error }))
  }

  /** A connection ended that nobody had ended. */
  lost(connection: Connection, error: unknown): void {
    this.#say('error', () => ({ ...this.#at(connection), error }))
  }

  /** A caller got no connection, after so long. */
  refused(error: unknown, waitMs: number): void {
    const kind = refusalKind(error)
    this.tally.refused(kind)
    if (kind === 'shed') {
      this.#say('shed', () => ({ ...this.#host(), waitMs, waiting: this.waiting() }))
      return
    }
    if (kind === 'poolBusy' || kind === 'serverUnavailable') {
      const reason = kind === 'poolBusy' ? 'pool-busy' : 'server-unavailable'
      this.#say('timeout', () => ({ ...this.#host(), reason, waitMs, waiting: this.waiting() }))
      return
    }
    const reason = turnedAway[kind]
    if (reason === undefined) return
    this.#say('turned-away', () => ({ ...this.#host(), reason, waiting: this.waiting() }))
  }

  // What the connections tell

  asked(statement: Operation, connection: Connection): number {
    if (statement.caller !== undefined) this.#trace(statement, connection)
    return this.breaker === undefined ? 0 : this.breaker.epoch
  }

  answered(
    statement: Operation,
    connection: Connection,
    mark: number,
    error: unknown,
    durationMs: number | undefined,
  ): void {
    // How long a guest takes is up to whoever reads it.
    if (durationMs !== undefined && !statement.isGuest) this.breaker?.answered(connection, mark, error, durationMs)
    if (error !== undefined) this.#lookForReadOnly(connection, error)
    this.#answered(statement, connection, error, durationMs)
  }

  /** A write that was refused: by the server, or only by a transaction that its caller has made read-only. */
  #lookForReadOnly(connection: Connection, error: unknown): void {
    const { whenWriteRefused } = this
    if (whenWriteRefused === undefined || !isWriteRefused(error) || connection.reports.isReadWrite === true) return
    if (whenWriteRefused(connection)) this.#say('read-only', () => ({ ...this.#at(connection), error }))
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
    answeredLate: () => undefined,
  }

  #trace(operation: Operation, connection: Connection): void {
    const statement = operation.whole ?? operation
    const { reportedText: text, name, batchSize, caller } = statement
    if (caller === undefined || (statement === operation && !operation.isReported)) return
    this.#traces.start(statement, caller, { pool: this.#options.pool, ...this.#at(connection), text, name, batchSize })
  }

  #answered(operation: Operation, connection: Connection, error: unknown, durationMs: number | undefined): void {
    if (operation.isReported) {
      this.#report(operation, connection, error, durationMs)
      return
    }
    // A sign of life that was asked for is nobody's statement.
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
    this.tally.answered(error, durationMs, isSlow)
    if (!this.#query.isHeard && !(isSlow && this.#slowQuery.isHeard)) return
    const event = this.#queryEvent(statement, connection, error, durationMs)
    // Nobody's: it is answered in the context of whoever gave it up, or of the socket.
    inNoContext(() => {
      this.#query.tell(event)
      if (isSlow) this.#slowQuery.tell(event)
    })
  }

  #queryEvent(statement: Reported, connection: Connection, error: unknown, durationMs: number | undefined): QueryEvent {
    const { command, rowCount } = error === undefined ? statement.reportedOutcome : failed
    return {
      ...this.#at(connection),
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
   * Tells of what belongs to no caller: it happens while some caller opens a connection, gives one back or only asks
   * beside, and none of their contexts is that of the listener.
   */
  #say<Name extends keyof HostEvents>(name: Name, make: () => HostEvents[Name]): void {
    inNoContext(() => this.#events.emit(name, make))
  }

  #breakerChanged(transition: BreakerTransition, error: unknown): void {
    if (transition.to === 'open') this.whenOpened()
    const retryAfterMs = this.breaker?.stats().retryAfterMs ?? 0
    this.#say('breaker', () => ({ ...this.#host(), ...transition, retryAfterMs, error }))
  }

  #host(): { readonly host: string; readonly role: HostRole } {
    return { host: this.where, role: this.role }
  }

  /** What is about a connection names the server that this one leads to, whichever is the primary by now. */
  #at({ where, pid }: Connection): { readonly host: string; readonly role: HostRole; readonly pid: number } {
    return { host: where, role: this.role, pid }
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
