import { classify, isRetryableByDefault } from './classify.js'
import { LifeguardError } from './lifeguard-error.js'

/**
 * A statement of a batch failed, and nothing of the batch took effect. `cause` is what the server said, `pg`'s own
 * DatabaseError; `classify` and `sqlStateOf` look through to it.
 */
export class BatchError extends LifeguardError {
  static override readonly name: string = 'BatchError'
  readonly code = 'LIFEGUARD_BATCH_FAILED'
  /** As the cause is: when the server undid the batch for the sake of others. */
  readonly retryable: boolean
  /** Which statement failed, from 0; undefined when all had succeeded and their commit failed: a deferred constraint. */
  readonly index: number | undefined
  /** The text of that statement, with placeholders where its values went. */
  readonly statement: string | undefined
  /** How many statements the batch had. */
  readonly size: number

  constructor(
    index: number | undefined,
    statement: string | undefined,
    size: number,
    options: { readonly cause: unknown },
  ) {
    const { cause } = options
    const said = cause instanceof Error ? cause.message : String(cause)
    const which = index === undefined ? `the end of a batch of ${size}` : `statement ${index} of a batch of ${size}`
    const text = statement === undefined ? '' : ` in: ${shortened(statement)}`
    super(`${which} failed, and nothing of the batch took effect: ${said}${text}`, options)
    this.retryable = isRetryableByDefault(classify(cause))
    this.index = index
    this.statement = statement
    this.size = size
  }
}

const longestShown = 200
/** As much of a text is looked at to show so much of it: it may have megabytes. */
const longestRead = 2_000

function shortened(text: string): string {
  const start = Math.max(0, text.search(/\S/))
  const line = text
    .slice(start, start + longestRead)
    .replace(/\s+/g, ' ')
    .trim()
  const isWhole = line.length <= longestShown && text.length <= start + longestRead
  return isWhole ? line : `${line.slice(0, longestShown)}...`
}
