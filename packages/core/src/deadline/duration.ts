/** A duration as a string with its unit: `'500ms'`, `'15s'`, `'15m'`, `'1h'`. */
export type DurationText = `${number}ms` | `${number}s` | `${number}m` | `${number}h`

/** A number of milliseconds, or a string with a unit: `15_000`, `'15s'`. */
export type Duration = number | DurationText

/**
 * The same options with every duration, which is whatever has a name that ends in `Ms`, as a number of milliseconds;
 * also in options that are groups of options.
 */
export type InMs<T> = {
  [K in keyof T]: K extends `${string}Ms` ? Exclude<T[K], DurationText> : InMsWithin<T[K]>
}

type InMsWithin<V> = V extends object ? (Extract<keyof V, `${string}Ms`> extends never ? V : InMs<V>) : V

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/**
 * The milliseconds that a string with a unit stands for; undefined when it is not one. Fractions are allowed, signs,
 * exponents and spaces are not.
 *
 * @example
 * ```ts
 * import type { Duration } from '@pg-lifeguard/core'
 *
 * const idle: Duration = '15m'
 * console.log(idle)
 * ```
 */
export function millisecondsOf(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  if (number === undefined || unit === undefined) return undefined
  return Number(number) * (units[unit] ?? Number.NaN)
}
