import { fieldNames, fieldsOf, isFields } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/** When a circuit breaker opens, and how it comes back. */
export interface BreakerOptions {
  /** Opens when this share of the calls in the window failed; above 0, at most 1. @default 0.5 */
  readonly failureRate?: number | undefined
  /** Opens when this share of the calls in the window was slow or failed; above 0, at most 1. @default 0.8 */
  readonly slowRate?: number | undefined
  /**
   * A call that took longer is slow, in milliseconds; so is one that a time limit ended. `Infinity` leaves only those.
   *
   * @default 30000
   */
  readonly slowAfterMs?: number | undefined
  /** With fewer calls in the window it does not judge; `1` or more. @default 20 */
  readonly minCalls?: number | undefined
  /** How far back the window reaches, in milliseconds, above 0. @default 10000 */
  readonly windowMs?: number | undefined
  /**
   * Judge by so many last calls, however old, in place of a time: `minCalls` or more.
   *
   * @default undefined (by `windowMs`)
   */
  readonly windowCalls?: number | undefined
  /** Calls that are let through to try while half-open, `1` or more; the rest is rejected. @default 3 */
  readonly halfOpenCalls?: number | undefined
  /**
   * How long it stays open the first time, in milliseconds, above 0; give or take a fifth. Twice as long each time that
   * the probes fail.
   *
   * @default 1000
   */
  readonly openMs?: number | undefined
  /**
   * The longest that it stays open, in milliseconds, `openMs` or more. Probes that have not come back within this time
   * count as failed.
   *
   * @default 30000
   */
  readonly maxOpenMs?: number | undefined
}

/** The options with every default filled in. */
export type ResolvedBreakerOptions = {
  readonly [K in Exclude<keyof BreakerOptions, 'windowCalls'>]-?: Exclude<BreakerOptions[K], undefined>
} & { readonly windowCalls: number | undefined }

/** What stands where the user said nothing. */
export const defaultBreakerOptions: ResolvedBreakerOptions = {
  failureRate: 0.5,
  slowRate: 0.8,
  slowAfterMs: 30_000,
  minCalls: 20,
  windowMs: 10_000,
  windowCalls: undefined,
  halfOpenCalls: 3,
  openMs: 1_000,
  maxOpenMs: 30_000,
}

/**
 * Checks the options and fills in the defaults. `prefix` stands in front of their names in messages: `breaker.`.
 *
 * @throws InvalidArgumentError at the first that is not what it may be
 */
export function resolveBreakerOptions(options: BreakerOptions, prefix = ''): ResolvedBreakerOptions {
  if (!isFields(options)) {
    throw new InvalidArgumentError(prefix.slice(0, -1) || 'the options', show(options), 'an object, or false for none')
  }
  for (const name of fieldNames(options)) {
    if (!Object.hasOwn(defaultBreakerOptions, name)) {
      const allowed = Object.keys(defaultBreakerOptions).sort().join(', ')
      throw new InvalidArgumentError(prefix + name, 'not an option', allowed)
    }
  }
  const given = Object.fromEntries(Object.entries(fieldsOf(options)).filter(([, value]) => value !== undefined))
  const all: ResolvedBreakerOptions = { ...defaultBreakerOptions, ...given }
  const check = (name: keyof BreakerOptions, isAllowed: (value: number) => boolean, allowed: string): void => {
    const value: unknown = all[name]
    if (!(typeof value === 'number' && isAllowed(value)))
      throw new InvalidArgumentError(prefix + name, show(value), allowed)
  }
  for (const name of ['failureRate', 'slowRate'] as const) {
    check(name, (value) => value > 0 && value <= 1, 'a number above 0, at most 1')
  }
  for (const name of ['minCalls', 'halfOpenCalls'] as const) {
    check(name, (value) => Number.isInteger(value) && value >= 1, 'a whole number, 1 or more')
  }
  for (const name of ['windowMs', 'openMs'] as const) {
    check(name, (value) => Number.isFinite(value) && value > 0, 'a finite number of milliseconds above 0')
  }
  check('slowAfterMs', (value) => value > 0, 'a number of milliseconds above 0; Infinity for never')
  check(
    'maxOpenMs',
    (value) => Number.isFinite(value) && value >= all.openMs,
    `milliseconds, openMs (${all.openMs}) or more`,
  )
  if (all.windowCalls !== undefined) {
    const allowed = `a whole number, minCalls (${all.minCalls}) or more`
    check('windowCalls', (value) => Number.isInteger(value) && value >= all.minCalls, allowed)
  }
  return all
}

function show(value: unknown): string {
  return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
}
