import type { ErrorSummary } from '../errors/classify.js'
import type { BreakerTransition } from '../resilience/circuit-breaker.js'
import type { CloseReason } from '../resource-pool/resource.js'

/** What a server is for the pool. */
export type ServerRole = 'primary' | 'replica'

/** Which server an event is about. */
export interface ServerEvent {
  /** `127.0.0.1:5432`, or the path of a Unix socket. */
  readonly address: string
  readonly role: ServerRole
}

/** A caller has acquired a connection. */
export interface AcquireEvent extends ServerEvent {
  readonly pid: number
  /** How long the caller waited for it, in milliseconds; `0` when it did not have to. */
  readonly waitMs: number
  /** Callers that still wait. */
  readonly waiting: number
}

/** A connection was released. */
export interface ReleaseEvent extends ServerEvent {
  readonly pid: number
  /** How long the caller had it, in milliseconds. */
  readonly heldMs: number
}

/** A connection was opened. */
export interface ConnectEvent extends ServerEvent {
  readonly pid: number
  readonly durationMs: number
}

/** An attempt to connect failed. */
export interface ConnectFailedEvent extends ServerEvent {
  readonly durationMs: number
  readonly error: unknown
}

/** A connection is being closed. */
export interface CloseEvent extends ServerEvent {
  readonly pid: number
  readonly reason: CloseReason
  /** How old it is, in milliseconds. */
  readonly ageMs: number
  /** How often it was acquired. */
  readonly uses: number
}

/** A statement was answered, or given up: also a batch, a COPY, a stream, each of which is one. Values are never reported. */
export interface QueryEvent extends ServerEvent {
  readonly pid: number
  /**
   * The SQL text as it was sent: with `$1` where values go. Of a batch its different SQL texts, joined by `; `, up to 4096
   * characters.
   */
  readonly text: string
  /** The name of a prepared statement. */
  readonly name: string | undefined
  /** How many statements a batch has; undefined for what is no batch. */
  readonly batchSize: number | undefined
  /**
   * From the time it was written to the socket, in milliseconds; `0` when it never was. Of a stream or a cursor the time
   * of its fetches, without the time in which its reader asked for nothing.
   */
  readonly durationMs: number
  /** Until its first rows were here, in milliseconds: of a stream, a cursor, a COPY TO; undefined when none came. */
  readonly firstRowMs: number | undefined
  /** The command as the server names it: `SELECT`. */
  readonly command: string | undefined
  readonly rowCount: number | null | undefined
  /** Why this server was chosen for it. */
  readonly why: string
  /** What went wrong, without what it may repeat of the data. */
  readonly error: ErrorSummary | undefined
}

/** A caller was dropped from the queue because of overload. */
export interface ShedEvent extends ServerEvent {
  readonly waitMs: number
  readonly waiting: number
}

/** A caller got no connection, and never stood in the queue: it is full, or the breaker is open. */
export interface TurnedAwayEvent extends ServerEvent {
  readonly reason: 'queue-full' | 'breaker-open' | 'self-deadlock' | 'pool-closed'
  readonly waiting: number
}

/** A caller got no connection in time. */
export interface TimeoutEvent extends ServerEvent {
  /** `pool-busy`: none came free; `server-unavailable`: none could be opened. */
  readonly reason: 'pool-busy' | 'server-unavailable'
  readonly waitMs: number
  readonly waiting: number
}

/** A connection was held for longer than `leakDetectionMs`. */
export interface LeakEvent extends ServerEvent {
  readonly heldMs: number
  /** Where it was acquired. */
  readonly acquireStack: string | undefined
}

/** A connection broke, in use or idle. */
export interface BrokenConnectionEvent extends ServerEvent {
  readonly pid: number
  readonly error: unknown
}

/** A server that was to take writes has refused one as it is read-only: the connection is replaced. */
export interface ReadOnlyEvent extends ServerEvent {
  readonly pid: number
  readonly error: unknown
}

/** A circuit breaker changed its state. */
export interface BreakerEvent extends ServerEvent, BreakerTransition {
  /** How long it will stay open at least, in milliseconds; `0` unless it has just opened. */
  readonly retryAfterMs: number
  /** The last failure that it saw. */
  readonly error: unknown
}

/** The events of one server. */
export interface ServerEvents {
  acquire: AcquireEvent
  release: ReleaseEvent
  connect: ConnectEvent
  'connect-failed': ConnectFailedEvent
  close: CloseEvent
  query: QueryEvent
  'slow-query': QueryEvent
  shed: ShedEvent
  'turned-away': TurnedAwayEvent
  timeout: TimeoutEvent
  leak: LeakEvent
  'leak-returned': LeakEvent
  error: BrokenConnectionEvent
  'read-only': ReadOnlyEvent
  breaker: BreakerEvent
}
