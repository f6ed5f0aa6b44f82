import { nearestName } from './base/nearest-name.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { fieldNames, isFields } from './errors/known-options.js'
import { foreignName } from './foreign-names.js'
import type { OptionKind } from './option-kinds.js'
import { optionTable } from './option-table.js'

/** Options by their path, in the form in which they are used. */
export type OptionValues = Map<string, unknown>

/**
 * Checks every field of an object of options, groups included, against the table.
 *
 * @throws InvalidOptionError at the first that is not what it may be
 */
export function checkOptions(options: unknown): OptionValues {
  if (!isFields(options)) {
    const given = Array.isArray(options) ? 'an array' : options === null ? 'null' : `of type ${typeof options}`
    throw new InvalidOptionError('the options', given, 'an object')
  }
  const values: OptionValues = new Map()
  checkFields('', options as Readonly<Record<string, unknown>>, values)
  return values
}

function checkFields(prefix: string, fields: Readonly<Record<string, unknown>>, values: OptionValues): void {
  for (const name of fieldNames(fields)) {
    const value = fields[name]
    const path = prefix + name
    const kind = Object.hasOwn(optionTable, path) ? optionTable[path] : undefined
    if (kind === undefined) throw unknownOption(prefix, name)
    if (value === undefined) continue
    const accepted = acceptValue(path, kind, value)
    if (kind.isGroup === true && accepted !== false) {
      checkFields(`${path}.`, accepted as Readonly<Record<string, unknown>>, values)
    } else values.set(path, accepted)
  }
}

/** @throws InvalidOptionError, with the value unless it is a secret */
export function acceptValue(name: string, kind: OptionKind, value: unknown, asGiven = value): unknown {
  const accepted = kind.accept(value)
  if (accepted === undefined) throw new InvalidOptionError(name, showValue(kind, asGiven), kind.allowed)
  return accepted
}

/** The options as an object again, groups included. */
export function nest(values: OptionValues): Record<string, unknown> {
  const nested: Record<string, unknown> = {}
  for (const [path, value] of values) {
    if (!Object.hasOwn(optionTable, path)) continue // known to libpq alone
    const [first = '', second] = path.split('.')
    if (second === undefined) nested[first] = value
    else if (nested[first] === false) throw new InvalidOptionError(path, `given, and ${first} is off`, 'one of them')
    else nested[first] = { ...(nested[first] as object | undefined), [second]: value }
  }
  return nested
}

function unknownOption(prefix: string, name: string): InvalidOptionError {
  const foreign = prefix === '' ? foreignName(name, (path) => path) : undefined
  if (foreign !== undefined) {
    const given = foreign.isOfPg ? 'an option of pg.Pool' : 'not an option here'
    return new InvalidOptionError(name, given, `here it is ${foreign.here}`)
  }
  const names = Object.keys(optionTable)
    .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('.'))
    .map((path) => path.slice(prefix.length))
  const near = nearestName(name, names)
  const meant = near === undefined ? 'not an option' : `not an option, but ${prefix}${near} is`
  return new InvalidOptionError(prefix + name, meant, names.sort().join(', '))
}

/** How a value is shown in a message; a secret, and what may hold one, only by its type. */
export function showValue(kind: OptionKind, value: unknown): string {
  if (kind.isSecret === true) {
    if (typeof value !== 'string') return `of type ${typeof value}`
    return value === '' ? 'empty' : 'a text that is not shown'
  }
  if (typeof value === 'number') return String(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'bigint') return `${value}n`
  return JSON.stringify(value) ?? `of type ${typeof value}`
}
