import { LifeguardError } from './lifeguard-error.js'

/** A transaction's handle was used after it had been settled, or after its connection was lost. */
export class TransactionClosedError extends LifeguardError {
  static override readonly name: string = 'TransactionClosedError'
  readonly code = 'LIFEGUARD_TRANSACTION_CLOSED'
  readonly retryable = false

  constructor(state: string, options?: ErrorOptions) {
    super(`this transaction is over (${state}): nothing more can run in it`, options)
  }
}

/**
 * The callback returned normally, but the server had rolled the transaction back: a statement in it failed and the
 * callback swallowed the error. `cause` is that first failure. Nothing was committed.
 */
export class TransactionRolledBackError extends LifeguardError {
  static override readonly name: string = 'TransactionRolledBackError'
  readonly code = 'LIFEGUARD_TRANSACTION_ROLLED_BACK'
  readonly retryable = false

  constructor(options?: ErrorOptions) {
    const said = options?.cause instanceof Error ? `: ${options.cause.message}` : ''
    super(
      `nothing was committed: a statement in the transaction had failed and its error was swallowed${said}. ` +
        'Let the error out of the callback, or run what may fail in a nested withTransaction (a savepoint)',
      options,
    )
  }
}

/**
 * COMMIT was sent and its answer never came: the transaction may or may not have been committed. It is never retried
 * blindly. `cause` is what ended the connection.
 */
export class CommitUnknownError extends LifeguardError {
  static override readonly name: string = 'CommitUnknownError'
  readonly code = 'LIFEGUARD_COMMIT_UNKNOWN'
  readonly retryable = false

  constructor(options: { readonly cause: unknown }) {
    const said = options.cause instanceof Error ? options.cause.message : String(options.cause)
    super(
      `COMMIT was sent but its answer was lost (${said}): the transaction may or may not have been committed`,
      options,
    )
  }
}
