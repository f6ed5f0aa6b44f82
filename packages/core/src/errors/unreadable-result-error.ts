import { LifeguardError } from './lifeguard-error.js'

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
