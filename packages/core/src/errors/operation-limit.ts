import type { Clock } from '../base/clock.js'
import { type Limit, limitOf, type OperationOptions } from '../base/limit.js'
import { InvalidOptionError } from './invalid-option-error.js'

/**
 * The limit that a caller's options ask for.
 *
 * @throws InvalidOptionError when `timeoutMs` is no duration or `signal` no AbortSignal
 */
export function operationLimit(options: OperationOptions | undefined, clock: Clock): Limit {
  if (options !== undefined) {
    if (options === null) throw new InvalidOptionError('the options', 'null', 'an object')
    const { timeoutMs, signal } = options
    if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new InvalidOptionError('timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new InvalidOptionError('signal', `of type ${typeof signal}`, 'an AbortSignal')
    }
  }
  return limitOf(options, clock)
}
