import { LifeguardError } from './lifeguard-error.js'

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
