import type { OperationOptions } from '../base/limit.js'
import { sleep } from '../base/sleep.js'
import { classifyOwn, ownCause } from '../errors/classify.js'
import { givenUp } from '../errors/given-up.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { ownedBy } from '../errors/origin.js'
import { assertBackoff, type BackoffOptions, fullJitter } from '../policy/backoff.js'
import { withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** How often, and how long, optimistic work is tried. */
export interface OptimisticRetryOptions extends OperationOptions {
  /**
   * How often the callback runs at most, the first time included; `1` or more.
   *
   * @default 5
   */
  readonly attempts?: number | undefined
  /** The pauses between attempts, with full jitter. @default { baseMs: 1, capMs: 1000 } */
  readonly backoff?: BackoffOptions | undefined
}

/** What the callback of `withOptimisticRetry` gets. */
export interface OptimisticAttempt {
  /** `1` the first time, `2` the second, and so on. */
  readonly attempt: number
}

const defaultAttempts = 5
const names = optionNames<OptimisticRetryOptions>({ signal: true, timeoutMs: true, attempts: true, backoff: true })

/**
 * Runs `fn` until it gets through without a VersionConflictError: read, decide, and write with `where version = ...`.
 * Outside of a transaction it also runs again when the server undid a statement for the sake of others (40001, 40P01);
 * inside one that is for the transaction to do. After the last attempt the conflict itself is thrown.
 */
export async function withOptimisticRetry<T>(
  { ambient, host, events, counts }: SessionEnvironment,
  fn: (attempt: OptimisticAttempt) => Promise<T>,
  options: OptimisticRetryOptions = {},
): Promise<T> {
  assertKnownOptions(options, names)
  const { attempts = defaultAttempts, backoff } = options
  assertBackoff('backoff', backoff)
  if (typeof fn !== 'function') throw new InvalidOptionError('fn', `of type ${typeof fn}`, 'a function')
  if (!(Number.isInteger(attempts) && attempts >= 1)) {
    throw new InvalidOptionError('attempts', String(attempts), 'a whole number, 1 or more')
  }
  const { clock, random } = host.environment
  const limit = ambient.limitFor(options)
  for (let attempt = 1; ; attempt++) {
    try {
      return await withLimit({ ambient, host }, limit, () => fn({ attempt }))
    } catch (error) {
      const kind = classifyOwn(error, host.environment)
      const again =
        kind === 'version-conflict' ||
        ((kind === 'conflict' || kind === 'deadlock') && ambient.current?.transaction === undefined)
      if (!again || attempt >= attempts) throw error
      const delayMs = fullJitter(attempt, backoff, random)
      counts.retries += 1
      events.emit('retry', () => ({ attempt, reason: kind, error: ownCause(error, host.environment), delayMs }))
      const reached = await sleep(delayMs, clock, limit)
      if (reached !== undefined) throw ownedBy(givenUp(reached, 'cancelled', error), host.environment)
    }
  }
}
