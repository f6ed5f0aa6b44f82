import { InvalidArgumentError } from './lifeguard-error.js'

/** The name of the list that is most like the one given; undefined when none is like it. */
export function nearestName(given: string, names: Iterable<string>): string | undefined {
  const wanted = plainName(given)
  let nearest: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const name of names) {
    const candidate = plainName(name)
    const shorter = Math.min(wanted.length, candidate.length)
    // One that holds the other whole, such as maxConnections and max, is near however much longer it is.
    const holds = shorter >= 3 && (wanted.startsWith(candidate) || candidate.startsWith(wanted))
    const edits = editDistance(wanted, candidate)
    const distance = holds ? Math.min(1.5, edits) : edits
    if (distance < least && distance <= Math.max(1.5, shorter / 3)) {
      nearest = name
      least = distance
    }
  }
  return nearest
}

/** A name without its case, underscores and dots, which are the usual slips. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** Insertions, deletions and substitutions from one text to the other. https://en.wikipedia.org/wiki/Levenshtein_distance */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

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
export const operationNames: OptionNames = new Set(['signal', 'timeoutMs'])

/**
 * Refuses options that an operation does not have, with the nearest name that it has, and what is no object: one that is
 * dropped in silence is a promise that is not kept, such as `{ isolationLevel: 'serializable' }`. A name that is given as
 * `undefined` is checked as well. For adapters, whose options are to be checked as the pool's are.
 *
 * @throws InvalidArgumentError naming the option
 * @internal
 */
export function assertKnownOptions(options: unknown, names: OptionNames, prefix = ''): void {
  if (options === undefined) return
  if (options !== null && Object.getPrototypeOf(options) === Object.prototype) {
    // What nearly every call has: an object that was written there, without a prototype of its own.
    for (const key of Reflect.ownKeys(options as object)) {
      if (key !== Symbol.toStringTag && !names.has(key as string)) refuse(String(key), names, prefix)
    }
    return
  }
  assertFields(options, prefix === '' ? 'the options' : prefix.slice(0, -1))
  for (const name of fieldNames(options)) if (!names.has(name)) refuse(name, names, prefix)
}

/**
 * Refuses what is neither `true` nor `false`, such as the 'no' of an environment variable. For adapters.
 *
 * @throws InvalidArgumentError
 * @internal
 */
export function assertFlag(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return
  throw new InvalidArgumentError(name, JSON.stringify(value) ?? `of type ${typeof value}`, 'true or false')
}

/** Whether a value is an object with fields: no array, and nothing else that is there for its content, such as a Map. */
export function isFields(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const tag = Object.prototype.toString.call(value)
  return tag === '[object Object]' || tag === '[object Module]'
}

function assertFields(options: unknown, name: string): asserts options is object {
  if (isFields(options)) return
  const given =
    typeof options === 'object' ? Object.prototype.toString.call(options).slice(8, -1) : `of type ${typeof options}`
  throw new InvalidArgumentError(name, given.replace(/^Null$/, 'null').replace(/^Array$/, 'an array'), 'an object')
}

/**
 * The name of every field that reading an object finds: its own, hidden ones and symbols too, and those that it inherits,
 * but for the methods of its class and for what somebody has put into every object of the process.
 */
export function fieldNames(options: object): string[] {
  const names: string[] = []
  let from: object | null = options
  // Of another realm too, Object.prototype is the one that has this.
  while (from !== null && !Object.hasOwn(from, 'isPrototypeOf')) {
    for (const key of Reflect.ownKeys(from)) {
      if (key === Symbol.toStringTag || (from !== options && isMethod(from, key))) continue
      names.push(String(key))
    }
    from = Object.getPrototypeOf(from)
  }
  return names
}

/**
 * The fields of options that were checked, in an object of their own, to be handed on with others: a spread alone would
 * drop those that are inherited, and take null, an array or a Map for no options at all. For adapters too.
 *
 * @throws InvalidArgumentError for what is no object
 * @internal
 */
export function fieldsOf<T extends object>(options: T | undefined): Partial<T> {
  if (options === undefined) return {}
  assertFields(options, 'the options')
  return Object.fromEntries(fieldNames(options).map((name) => [name, options[name as keyof T]])) as Partial<T>
}

function isMethod(prototype: object, key: PropertyKey): boolean {
  const field = Object.getOwnPropertyDescriptor(prototype, key)
  return field?.enumerable === false && typeof field.value === 'function'
}

function refuse(name: string, names: OptionNames, prefix: string): void {
  const near = nearestName(name, names)
  const given = near === undefined ? 'not an option here' : `not an option here, but ${prefix}${near} is`
  throw new InvalidArgumentError(prefix + name, given, names.size === 0 ? 'none' : [...names].sort().join(', '))
}
