import { LifeguardError } from './lifeguard-error.js'

/**
 * What is known of the work when its caller gave it up.
 *
 * - `not-sent`: no byte of it reached the server.
 * - `cancelled`: it was stopped and undone; nothing took effect.
 * - `unknown`: the server did not answer in time; the statement may have taken effect.
 */
export type GivenUpOutcome = 'not-sent' | 'cancelled' | 'unknown'

const outcomes: Record<GivenUpOutcome, string> = {
  'not-sent': 'nothing was sent to the server',
  cancelled: 'it was stopped, and nothing took effect',
  unknown: 'the server has not answered: the statement may have taken effect',
}

/** The operation's `timeoutMs`, or a deadline around it, ran out. */
export class OperationTimeoutError extends LifeguardError {
  static override readonly name: string = 'OperationTimeoutError'
  readonly code = 'LIFEGUARD_TIMEOUT'
  readonly retryable: boolean
  readonly timeoutMs: number
  readonly outcome: GivenUpOutcome

  constructor(timeoutMs: number, outcome: GivenUpOutcome, options?: ErrorOptions) {
    super(`gave up after ${Math.round(timeoutMs * 10) / 10} ms; ${outcomes[outcome]}`, options)
    this.timeoutMs = timeoutMs
    this.outcome = outcome
    this.retryable = outcome !== 'unknown'
  }
}

/**
 * The operation's `signal` was aborted; `cause` is the signal's reason. Its `name` is 'AbortError', as everywhere on
 * the platform.
 */
export class OperationAbortedError extends LifeguardError {
  static override readonly name: string = 'OperationAbortedError'
  readonly code = 'LIFEGUARD_ABORTED'
  readonly retryable = false
  readonly outcome: GivenUpOutcome

  /** @param options `by` says who has ended it, where that was not the caller; for adapters */
  constructor(outcome: GivenUpOutcome, options: { readonly cause: unknown; readonly by?: string }) {
    super(`${options.by ?? 'aborted by the caller'}; ${outcomes[outcome]}`, { cause: options.cause })
    Object.defineProperty(this, 'name', { value: 'AbortError', configurable: true, writable: true })
    this.outcome = outcome
  }
}
