import { nearestName } from '../base/nearest-name.js'
import { InvalidOptionError } from './invalid-option-error.js'

/** The names of an operation's options; made once for each operation by {@link optionNames}. */
export type OptionNames = ReadonlySet<string>

/**
 * The names of the options of type `T`. Its argument has to name each of them, so that the compiler says when one is
 * missing here or is none any more.
 */
export function optionNames<T extends object>(names: { readonly [Name in keyof Required<T>]: true }): OptionNames {
  return new Set(Object.keys(names))
}

/** Those that every operation takes. */
export const limitNames: OptionNames = new Set(['signal', 'timeoutMs'])

/**
 * Refuses options that an operation does not have, with the nearest name that it has, and what is no object: one that is
 * dropped in silence is a promise that is not kept, such as `{ isolationLevel: 'serializable' }`. A name that is given as
 * `undefined` is looked at as well. For adapters, whose options are to be checked as the pool's are.
 *
 * @throws InvalidOptionError naming the option
 * @internal
 */
export function assertKnownOptions(options: unknown, names: OptionNames, prefix = ''): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const given = options === null ? 'null' : Array.isArray(options) ? 'an array' : `of type ${typeof options}`
    throw new InvalidOptionError(prefix === '' ? 'the options' : prefix.slice(0, -1), given, 'an object')
  }
  // Inherited ones too: they are read as well, and an AbortSignal that is given for the options has no others.
  for (const name in options) if (!names.has(name)) refuse(options, name, names, prefix)
}

/**
 * Refuses what is neither `true` nor `false`, such as the 'no' of an environment variable. For adapters.
 *
 * @throws InvalidOptionError
 * @internal
 */
export function assertFlag(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return
  throw new InvalidOptionError(name, JSON.stringify(value) ?? `of type ${typeof value}`, 'true or false')
}

function refuse(options: object, name: string, names: OptionNames, prefix: string): void {
  // What somebody has put into every object of the process was not said here.
  if (!Object.hasOwn(options, name) && name in Object.prototype) return
  const near = nearestName(name, names)
  const given = near === undefined ? 'not an option here' : `not an option here, but ${prefix}${near} is`
  throw new InvalidOptionError(prefix + name, given, names.size === 0 ? 'none' : [...names].sort().join(', '))
}
