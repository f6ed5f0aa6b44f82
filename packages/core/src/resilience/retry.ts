import type { Random } from '../deadline/clock.js'
import { assertKnownOptions, fieldsOf, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/** Bounds of a {@link RetryBudget}: see the option `retryBudget`. */
export interface RetryBudgetLimits {
  /** Retries that may be made out of nothing. */
  readonly reserve: number
  /** Retries that each success pays for. */
  readonly perSuccess: number
}

/**
 * A token bucket that bounds how much retries can multiply the load while everything fails: successes pay in, retries
 * pay out. One pool has one, so that a thousand callers together cannot do what one alone may not. Conflicts (40001,
 * 40P01) do not pay: a server that undoes one transaction for another has just made progress.
 * https://finagle.github.io/blog/2016/02/08/retry-budgets/
 */
export class RetryBudget {
  readonly #reserve: number
  readonly #perSuccess: number
  #tokens: number

  constructor({ reserve, perSuccess }: RetryBudgetLimits) {
    this.#reserve = reserve
    this.#perSuccess = perSuccess
    this.#tokens = reserve
  }

  /** Retries that could be made at once. */
  get available(): number {
    return Math.floor(this.#tokens)
  }

  /** A piece of work succeeded. */
  succeeded(): void {
    if (this.#tokens < this.#reserve) this.#tokens = Math.min(this.#reserve, this.#tokens + this.#perSuccess)
  }

  /** Asks to retry once; false when the budget is spent. */
  tryRetry(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}

/**
 * How often work is tried at most, the first time included, whatever was the reason. A conflict means that somebody else
 * has got on; but work that needs more than this is one of many callers who fight for the same rows. They wait less with
 * `for update` or a lock, and can ask for more attempts.
 */
export const defaultAttempts = 10

/** How the pauses between attempts grow, evenly random up to their bound: full jitter. */
export interface BackoffOptions {
  /**
   * Upper bound of the pause after the first failure, in milliseconds; it doubles with each further one.
   *
   * @default 1
   */
  readonly baseMs?: number
  /**
   * The largest pause, in milliseconds.
   *
   * @default 1000
   */
  readonly capMs?: number
}

const names = optionNames<BackoffOptions>({ baseMs: true, capMs: true })

/** @throws InvalidArgumentError for what is unknown, or no duration */
export function assertBackoff(option: string, given: BackoffOptions | undefined): void {
  if (given === undefined) return
  assertKnownOptions(given, names, `${option}.`)
  for (const [name, ms] of Object.entries(fieldsOf(given))) {
    if (ms === undefined || (typeof ms === 'number' && ms >= 0)) continue
    throw new InvalidArgumentError(`${option}.${name}`, String(ms), 'a number of milliseconds, 0 or more')
  }
}

/**
 * The pause before attempt `failures + 1`: evenly random between 0 and `min(capMs, baseMs * 2^(failures - 1))`.
 * Full jitter spreads those who failed together best, and lets the first retry be nearly immediate.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function fullJitter(failures: number, options: BackoffOptions | undefined, random: Random): number {
  const { baseMs = 1, capMs = 1_000 } = options ?? {}
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30))
}
