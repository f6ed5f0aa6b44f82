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
 * The circuit breaker in front of a host is open: too many of the last calls failed, so that this one was not made at
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
