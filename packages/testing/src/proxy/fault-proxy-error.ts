/**
 * What went wrong with a fault proxy.
 *
 * - `FAULT_PROXY_INVALID_OPTION`: an option or a rule is not valid; the message names it, its value and what is allowed.
 * - `FAULT_PROXY_LISTEN_FAILED`: the port could not be opened (or, after `refuse()`, opened again).
 * - `FAULT_PROXY_EXITED`: the proxy's process ended without being asked to, or did not start.
 * - `FAULT_PROXY_STOPPED`: the call came after, or was cut short by, `stop()`.
 * - `FAULT_PROXY_ENCRYPTED`: a rule looks at messages that it cannot see, because the connection is encrypted.
 * - `FAULT_PROXY_RULE_REMOVED`: the rule was removed before it fired.
 */
export type FaultProxyErrorCode =
  | 'FAULT_PROXY_INVALID_OPTION'
  | 'FAULT_PROXY_LISTEN_FAILED'
  | 'FAULT_PROXY_EXITED'
  | 'FAULT_PROXY_STOPPED'
  | 'FAULT_PROXY_ENCRYPTED'
  | 'FAULT_PROXY_RULE_REMOVED'

const marker = Symbol.for('@pg-lifeguard/testing/FaultProxyError')

/**
 * The one error class of the fault proxy. Faults that the proxy produces are never thrown here: the client under test
 * sees them.
 *
 * @example
 * ```ts
 * import { FaultProxyError, startFaultProxy } from '@pg-lifeguard/testing'
 *
 * try {
 *   await startFaultProxy({ target: 'postgresql://localhost:5432/app', roundTripMs: -1 })
 * } catch (error) {
 *   if (FaultProxyError.isInstance(error)) console.log(error.code) // FAULT_PROXY_INVALID_OPTION
 * }
 * ```
 */
export class FaultProxyError extends Error {
  readonly [marker] = true
  override readonly name = 'FaultProxyError'
  /** Stable: made to be compared with. */
  readonly code: FaultProxyErrorCode

  constructor(code: FaultProxyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** True for a FaultProxyError of any copy of this package, which `instanceof` is not. */
  static isInstance(value: unknown): value is FaultProxyError {
    return typeof value === 'object' && value !== null && marker in value
  }
}

/** The error for an option that is not valid. */
export function invalidOption(option: string, value: unknown, allowed: string): FaultProxyError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return new FaultProxyError('FAULT_PROXY_INVALID_OPTION', `${option} is ${shown}; allowed: ${allowed}`)
}

/** The error for a rule that cannot see its messages. */
export function encryptedRuleError(connectionId: number): FaultProxyError {
  return new FaultProxyError(
    'FAULT_PROXY_ENCRYPTED',
    `the rule cannot see the messages of connection ${connectionId}, which is encrypted or not PostgreSQL's; ` +
      'connect through the proxy with sslmode=disable, or limit the rule with `connections`',
  )
}
