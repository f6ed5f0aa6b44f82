import { InvalidArgumentError, LifeguardError } from './lifeguard-error.js'

/**
 * The server sent what PostgreSQL's protocol does not allow there, or what cannot be read: a message out of its order or
 * of an impossible length, a value that JavaScript cannot hold as one string. The connection is closed, and nobody else is
 * concerned. A statement that was under way is rejected with ConnectionLostError, whose `cause` this is.
 */
export class ProtocolViolationError extends LifeguardError {
  static override readonly name: string = 'ProtocolViolationError'
  readonly code = 'LIFEGUARD_PROTOCOL_VIOLATION'
  readonly retryable = false

  constructor(what: string, options?: ErrorOptions) {
    super(`the connection was closed, as the server sent ${what}`, options)
  }
}

/**
 * A statement or a batch outside of a transaction was done and committed, but its rows could not be read here: a parser of
 * values threw. `cause` is what it threw. Nothing was undone, so the same call again would do its work twice.
 *
 * Of a statement that only reads, and of one inside a transaction, which is not committed yet, the error of the parser
 * comes out as it is.
 */
export class UnreadableResultError extends LifeguardError {
  static override readonly name: string = 'UnreadableResultError'
  readonly code = 'LIFEGUARD_UNREADABLE_RESULT'
  readonly retryable = false
  /** What became of the work. */
  readonly outcome = 'committed'
  /** Which statement of a batch gave the rows, from 0; undefined for what was no batch. */
  readonly index: number | undefined

  constructor(options: { readonly cause: unknown; readonly index?: number | undefined }) {
    const { cause, index } = options
    const said = cause instanceof Error ? cause.message : String(cause)
    const what = index === undefined ? 'the statement has' : 'the batch has'
    const rows = index === undefined ? 'its rows' : `the rows of statement ${index}`
    super(`${what} committed, but ${rows} could not be read: ${said}`, { cause })
    this.index = index
  }
}

/** For a BEGIN that stays open, asked of the pool as such: no later statement of its caller would belong to it. */
export function beginRefused(): InvalidArgumentError {
  return new InvalidArgumentError(
    'the statement',
    'one that begins a transaction and leaves it open, on whatever connection is free',
    'withTransaction or beginTransaction for a transaction; acquire() for a connection on which BEGIN can be sent by hand',
  )
}

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
