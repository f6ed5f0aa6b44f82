import { LifeguardError } from './lifeguard-error.js'

/** Thrown at once when an option is not what it may be: names the option, the value and what is allowed. */
export class InvalidOptionError extends LifeguardError {
  static override readonly name: string = 'InvalidOptionError'
  readonly code = 'LIFEGUARD_INVALID_OPTION'
  readonly retryable = false
  /** The name of the option as the caller wrote it. */
  readonly option: string

  constructor(option: string, given: string, allowed: string, options?: ErrorOptions) {
    super(`${option} is ${given}; allowed: ${allowed}`, options)
    this.option = option
  }
}
