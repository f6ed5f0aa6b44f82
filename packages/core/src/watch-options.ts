import { InvalidOptionError } from './errors/invalid-option-error.js'
import { type BreakerOptions, type ResolvedBreakerOptions, resolveBreakerOptions } from './policy/breaker-options.js'

/** What a pool watches for. */
export interface WatchOptions {
  /**
   * A statement that takes longer than this is counted as slow, and told as `slow-query`; in milliseconds. `Infinity`
   * for none.
   *
   * @default 100
   */
  readonly slowQueryMs?: number | undefined
  /**
   * When the pool stops asking a server that fails, so that callers are answered at once in place of waiting for nothing;
   * `false` for never. One breaker for each host.
   *
   * @default { failureRate: 0.5, slowRate: 0.8, slowAfterMs: 30000, minCalls: 20, windowMs: 10000, halfOpenCalls: 3,
   * openMs: 1000, maxOpenMs: 30000 }
   */
  readonly breaker?: BreakerOptions | false | undefined
}

/** The options with every default filled in. */
export interface ResolvedWatchOptions {
  readonly slowQueryMs: number
  readonly breaker: ResolvedBreakerOptions | undefined
}

const defaultSlowQueryMs = 100

/**
 * Checks them and fills in the defaults.
 *
 * @throws InvalidOptionError at the first that is not what it may be
 */
export function resolveWatchOptions({
  slowQueryMs = defaultSlowQueryMs,
  breaker = {},
}: WatchOptions): ResolvedWatchOptions {
  if (!(typeof slowQueryMs === 'number' && slowQueryMs >= 0)) {
    throw new InvalidOptionError('slowQueryMs', String(slowQueryMs), 'a number of milliseconds, 0 or more')
  }
  return { slowQueryMs, breaker: breaker === false ? undefined : resolveBreakerOptions(breaker, 'breaker.') }
}
