import { classify, type ErrorClass } from '../errors/classify.js'
import { LifeguardError, type LifeguardErrorCode } from '../errors/lifeguard-error.js'
import { Histogram, type HistogramSnapshot } from '../observe/histogram.js'

/** How often a caller got no connection, by the reason. */
export interface RefusalCounts {
  /** None came free in time. */
  readonly poolBusy: number
  /** None could be opened in time. */
  readonly serverUnavailable: number
  /** The circuit breaker was open. */
  readonly breakerOpen: number
  /** The queue was full. */
  readonly queueFull: number
  /** Shed from the queue because of overload. */
  readonly shed: number
  /** Everybody who held a connection waited for another one. */
  readonly selfDeadlock: number
  /** The pool had ended, or ended meanwhile. */
  readonly poolClosed: number
  /** The caller gave up: its signal, or a time limit that was over before it asked. */
  readonly givenUp: number
  /** Something else, such as a wrong password. */
  readonly other: number
}

/** How long callers waited for a connection, and why some got none. */
export interface WaitCounts {
  /** Callers that got no connection, by the reason. */
  readonly refusals: RefusalCounts
  /** How long those waited that got one; those who did not have to are in it with 0. */
  readonly durationMs: HistogramSnapshot
}

/** How the statements went. */
export interface QueryCounts {
  readonly ok: number
  /** Of all of them, those that took longer than `slowQueryMs`. */
  readonly slow: number
  /** Failed, by what the error asks for; each class is there from the start, with 0. */
  readonly failed: Readonly<Record<ErrorClass, number>>
  /** How long statements took, from the time they were written to the socket. */
  readonly durationMs: HistogramSnapshot
}

/** What has happened on one server, in numbers. */
export interface ServerMetrics {
  readonly waits: WaitCounts
  readonly queries: QueryCounts
}

const refusalOf: Readonly<Partial<Record<LifeguardErrorCode, keyof RefusalCounts>>> = {
  LIFEGUARD_ACQUIRE_TIMEOUT: 'poolBusy',
  LIFEGUARD_SERVER_UNAVAILABLE: 'serverUnavailable',
  LIFEGUARD_BREAKER_OPEN: 'breakerOpen',
  LIFEGUARD_QUEUE_FULL: 'queueFull',
  LIFEGUARD_OVERLOADED: 'shed',
  LIFEGUARD_SELF_DEADLOCK: 'selfDeadlock',
  LIFEGUARD_POOL_CLOSED: 'poolClosed',
  LIFEGUARD_ABORTED: 'givenUp',
  LIFEGUARD_TIMEOUT: 'givenUp',
}

/** Why a caller got no connection, as the counter that counts it. */
export function refusalKind(error: unknown): keyof RefusalCounts {
  return (LifeguardError.isInstance(error) ? refusalOf[error.code] : undefined) ?? 'other'
}

/** Each class of error, so that a series begins before its first failure. */
const none: Readonly<Record<ErrorClass, number>> = {
  conflict: 0,
  'version-conflict': 0,
  deadlock: 0,
  'stale-plan': 0,
  connection: 0,
  unavailable: 0,
  topology: 0,
  overload: 0,
  contended: 0,
  'outcome-unknown': 0,
  configuration: 0,
  cancelled: 0,
  server: 0,
  user: 0,
}

/** Keeps the numbers of one server. */
export class ServerCounters {
  readonly #acquireMs = new Histogram()
  readonly #queryMs = new Histogram()
  readonly #refusals = {
    poolBusy: 0,
    serverUnavailable: 0,
    breakerOpen: 0,
    queueFull: 0,
    shed: 0,
    selfDeadlock: 0,
    poolClosed: 0,
    givenUp: 0,
    other: 0,
  }
  readonly #failed: Record<ErrorClass, number> = { ...none }
  #ok = 0
  #slow = 0

  acquired(waitedMs: number): void {
    this.#acquireMs.record(waitedMs)
  }

  refused(kind: keyof RefusalCounts): void {
    this.#refusals[kind] += 1
  }

  answered(error: unknown, durationMs: number | undefined, isSlow: boolean): void {
    if (durationMs !== undefined) this.#queryMs.record(durationMs)
    if (isSlow) this.#slow += 1
    if (error === undefined) {
      this.#ok += 1
      return
    }
    this.#failed[classify(error)] += 1
  }

  snapshot(): ServerMetrics {
    return {
      waits: { refusals: { ...this.#refusals }, durationMs: this.#acquireMs.snapshot() },
      queries: {
        ok: this.#ok,
        slow: this.#slow,
        failed: { ...this.#failed },
        durationMs: this.#queryMs.snapshot(),
      },
    }
  }
}
