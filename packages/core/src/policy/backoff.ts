import type { Random } from '../base/random.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, fieldsOf, optionNames } from '../errors/known-options.js'

/** How the pauses between attempts grow. */
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

/** @throws InvalidOptionError for what is unknown, or no duration */
export function assertBackoff(option: string, given: BackoffOptions | undefined): void {
  if (given === undefined) return
  assertKnownOptions(given, names, `${option}.`)
  for (const [name, ms] of Object.entries(fieldsOf(given))) {
    if (ms === undefined || (typeof ms === 'number' && ms >= 0)) continue
    throw new InvalidOptionError(`${option}.${name}`, String(ms), 'a number of milliseconds, 0 or more')
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
