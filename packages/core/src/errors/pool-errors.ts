import { LifeguardError } from './lifeguard-error.js'

/** What the breaker had seen when it refused a call. */
export interface BreakerOpenFigures {
  /** Calls that it judged by. */
  readonly calls: number
  /** Of them, failed. */
  readonly failures: number
  /** Of them, slow. */
  readonly slow: number
  /** How often it opened without having closed in between. */
  readonly opensInARow: number
}

/**
 * The circuit breaker in front of a server is open: too many of the last calls failed, so that this one was not made at
 * all. `cause` is the last failure that was seen.
 */
export class BreakerOpenError extends LifeguardError {
  static override readonly name: string = 'BreakerOpenError'
  readonly code = 'LIFEGUARD_BREAKER_OPEN'
  readonly retryable = true
  /** When a call can be expected to be let through again, in milliseconds from now. */
  readonly retryAfterMs: number
  readonly figures: BreakerOpenFigures

  constructor(what: string, retryAfterMs: number, figures: BreakerOpenFigures, options?: ErrorOptions) {
    const cause = options?.cause
    const said = cause === undefined ? '' : `; last failure: ${cause instanceof Error ? cause.message : String(cause)}`
    const { calls, failures, slow } = figures
    super(
      `the circuit breaker of ${what} is open: ${failures} of ${calls} calls failed, ${slow} were slow; ` +
        `again in ${Math.ceil(retryAfterMs)} ms${said}`,
      options,
    )
    this.retryAfterMs = retryAfterMs
    this.figures = figures
  }
}

/** What is known of one server when no primary was found. */
export interface ServerReport {
  /** `127.0.0.1:5432` */
  readonly address: string
  /** Why it is not the one. */
  readonly why: string
}

/**
 * None of the servers takes writes: they are down, or all of them follow another server, or the one that would take writes is
 * an old primary that was replaced. Seen as the `cause` of ServerUnavailableError.
 */
export class NoPrimaryError extends LifeguardError {
  static override readonly name: string = 'NoPrimaryError'
  readonly code = 'LIFEGUARD_NO_PRIMARY'
  readonly retryable = true
  readonly servers: readonly ServerReport[]

  constructor(servers: readonly ServerReport[], options?: ErrorOptions) {
    super(`no server takes writes (${servers.map(({ address, why }) => `${address}: ${why}`).join('; ')})`, options)
    this.servers = servers
  }
}

/**
 * A read-only transaction on a replica met a statement that does not only read, or that is not known to. It is run again
 * on the primary by itself; seen with `retry: false` only.
 */
export class NotOnReplicaError extends LifeguardError {
  static override readonly name: string = 'NotOnReplicaError'
  readonly code = 'LIFEGUARD_NOT_ON_REPLICA'
  readonly retryable = true

  constructor() {
    super('a statement of this transaction is not known to be a mere read: it belongs to the primary')
  }
}

/** How full the pool was when an error was made. */
export interface PoolFigures {
  /** Connections in use. */
  readonly active: number
  /** Connections ready to be used. */
  readonly idle: number
  /** Connections being opened. */
  readonly connecting: number
  /** The configured maximum. */
  readonly max: number
  /** Callers waiting for a connection. */
  readonly waiting: number
  /** How long the longest holder has had its connection, in milliseconds. */
  readonly longestHeldMs: number
  /** Where that holder acquired it, when leak detection is on. */
  readonly longestHolderStack: string | undefined
}

/** Who had a connection of a busy pool when an error was made. */
export interface HolderFigures {
  /** How long it has been in use, in milliseconds. */
  readonly heldMs: number
  /** The SQL text that the server is at work on, without its values and cut off; undefined while nothing runs. */
  readonly text: string | undefined
  /** For how long that has been so, in milliseconds; `0` while nothing runs. */
  readonly runningMs: number
  /** What the server said last of its transaction. */
  readonly transaction: 'none' | 'open' | 'failed'
}

function describeHolder({ heldMs, text, runningMs, transaction }: HolderFigures): string {
  const held = `held for ${Math.round(heldMs)} ms`
  const inside = transaction === 'none' ? '' : `, in ${transaction === 'open' ? 'an open' : 'a failed'} transaction`
  const runs = text === undefined ? ', nothing runs on it' : `, running for ${Math.round(runningMs)} ms: ${text}`
  return held + inside + runs
}

function describe(figures: PoolFigures): string {
  const parts = [`${figures.active}/${figures.max} busy`, `${figures.waiting} waiting`]
  if (figures.idle > 0) parts.push(`${figures.idle} idle`)
  if (figures.connecting > 0) parts.push(`${figures.connecting} connecting`)
  if (figures.active > 0) parts.push(`longest holder ${Math.round(figures.longestHeldMs)} ms`)
  const stack = figures.longestHolderStack
  return parts.join(', ') + (stack === undefined ? '' : `; it was acquired here:\n${stack}`)
}

/** No connection came free in time. The server may be healthy: the pool is too small, or its connections are held too long. */
export class AcquireTimeoutError extends LifeguardError {
  static override readonly name: string = 'AcquireTimeoutError'
  readonly code = 'LIFEGUARD_ACQUIRE_TIMEOUT'
  readonly retryable = true
  readonly waitedMs: number
  readonly figures: PoolFigures
  /** Those who have had a connection for longest, three at most. */
  readonly holders: readonly HolderFigures[]

  constructor(
    waitedMs: number,
    figures: PoolFigures,
    options?: ErrorOptions & {
      readonly heldByCaller?: number
      readonly poolName?: string | undefined
      readonly holders?: readonly HolderFigures[]
    },
  ) {
    const held = options?.heldByCaller ?? 0
    const holders = options?.holders ?? []
    const pool = options?.poolName === undefined ? 'the pool' : `the pool ${options.poolName}`
    const own =
      held === 0
        ? ''
        : `; the caller itself holds ${held} connection(s) of this pool while it waits for another: run the query inside its transaction`
    const longest = holders.map((one) => `; ${describeHolder(one)}`).join('')
    super(
      `no connection within ${Math.round(waitedMs)} ms: ${pool} is busy (${describe(figures)})${own}${longest}`,
      options,
    )
    this.waitedMs = waitedMs
    this.figures = figures
    this.holders = holders
  }
}

/** The bound on waiting callers (`maxWaiting`) is reached: failing at once is kinder than a wait that cannot end well. */
export class QueueFullError extends LifeguardError {
  static override readonly name: string = 'QueueFullError'
  readonly code = 'LIFEGUARD_QUEUE_FULL'
  readonly retryable = true
  readonly figures: PoolFigures

  constructor(maxWaiting: number, figures: PoolFigures) {
    super(`${maxWaiting} callers already wait for a connection, the most allowed (${describe(figures)})`)
    this.figures = figures
  }
}

/**
 * Callers come faster than the pool can serve them. This one was turned away so that others are still served in time:
 * a queue that only grows would end with everybody too late.
 */
export class OverloadedError extends LifeguardError {
  static override readonly name: string = 'OverloadedError'
  readonly code = 'LIFEGUARD_OVERLOADED'
  readonly retryable = true
  readonly waitedMs: number
  readonly figures: PoolFigures

  constructor(waitedMs: number, figures: PoolFigures) {
    super(
      `turned away after ${Math.round(waitedMs)} ms of waiting for a connection: callers come faster than the pool can serve them (${describe(figures)})`,
    )
    this.waitedMs = waitedMs
    this.figures = figures
  }
}

/**
 * Every connection is held by a caller that itself waits for another one, so none can ever come free. The usual cause
 * is a query on the pool from inside a transaction of the same pool, with the ambient context left.
 */
export class SelfDeadlockError extends LifeguardError {
  static override readonly name: string = 'SelfDeadlockError'
  readonly code = 'LIFEGUARD_SELF_DEADLOCK'
  readonly retryable = false
  readonly figures: PoolFigures

  constructor(held: number, figures: PoolFigures) {
    super(
      `this caller holds ${held} connection(s) and asks for another, while all ${figures.max} connections are held by callers that wait like it: ` +
        `none can come free. Run the query inside the transaction that is open, or make the pool larger (${describe(figures)})`,
    )
    this.figures = figures
  }
}

/** The server cannot be reached. `cause` is what the last attempt to connect said. */
export class ServerUnavailableError extends LifeguardError {
  static override readonly name: string = 'ServerUnavailableError'
  readonly code = 'LIFEGUARD_SERVER_UNAVAILABLE'
  readonly retryable = true
  readonly waitedMs: number
  readonly figures: PoolFigures

  constructor(
    where: string,
    waitedMs: number,
    attempts: number,
    figures: PoolFigures,
    options: { readonly cause: unknown },
  ) {
    const said = options.cause instanceof Error ? options.cause.message : String(options.cause)
    super(
      `cannot connect to ${where}: ${said} (${attempts} failed attempt(s) in a row; waited ${Math.round(waitedMs)} ms)`,
      options,
    )
    this.waitedMs = waitedMs
    this.figures = figures
  }
}

/**
 * This side cannot log in, or will not: no password was given and the server asks for one, the server asks for a kind of
 * login that there is not here, or it does not bind the channel as `channelBinding: 'require'` demands. What the server
 * itself refuses stays its own error, such as 28P01.
 */
export class LoginError extends LifeguardError {
  static override readonly name: string = 'LoginError'
  readonly code = 'LIFEGUARD_LOGIN_FAILED'
  readonly retryable = false

  /** @param remedy what would make the login possible */
  constructor(what: string, remedy: string) {
    super(`cannot log in: ${what}; needed: ${remedy}`)
  }
}

/** The pool was ended, or is ending, and takes no more work. */
export class PoolClosedError extends LifeguardError {
  static override readonly name: string = 'PoolClosedError'
  readonly code = 'LIFEGUARD_POOL_CLOSED'
  readonly retryable = false

  constructor(what: string) {
    super(`${what}: the pool has been ended`)
  }
}

/** A connection was used after its release. */
export class ConnectionReleasedError extends LifeguardError {
  static override readonly name: string = 'ConnectionReleasedError'
  readonly code = 'LIFEGUARD_CONNECTION_RELEASED'
  readonly retryable = false

  constructor() {
    super('this connection was already released; acquire one and use it before you release it')
  }
}

/**
 * The connection ended while something ran on it. `cause` is what the socket or the server said. Whether an autocommit
 * statement took effect is not known, unless `sent` is false.
 */
export class ConnectionLostError extends LifeguardError {
  static override readonly name: string = 'ConnectionLostError'
  readonly code = 'LIFEGUARD_CONNECTION_LOST'
  /** Only a statement of which no byte was sent may simply be run again. */
  readonly retryable: boolean
  /** Whether any byte of the statement had been written to the socket. */
  readonly sent: boolean

  constructor(sent: boolean, options: { readonly cause: unknown }) {
    const said = options.cause instanceof Error ? options.cause.message : String(options.cause)
    super(
      sent
        ? `the connection was lost while the statement ran: ${said}`
        : `the connection was lost before the statement was sent: ${said}`,
      options,
    )
    this.sent = sent
    this.retryable = !sent
  }
}
