import { fieldNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { isDbName, longestName } from '../sql/quote.js'

/** Runtime parameters by name. */
export type RuntimeSettings = Readonly<Record<string, string | number | boolean>>

/**
 * Switches for the startup packet: those of the user first, then `-c name=value` for each setting, where a backslash
 * escapes what would end the argument. Undefined when there are none.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
 */
export function startupOptions(given: string | undefined, settings: RuntimeSettings): string | undefined {
  const switches = Object.entries(settings).map(([name, value]) => `-c ${escaped(`${name}=${value}`)}`)
  if (given !== undefined && given !== '') switches.unshift(given)
  return switches.length === 0 ? undefined : switches.join(' ')
}

function escaped(text: string): string {
  return text.replace(/[\\\s]/g, '\\$&')
}

/** The server counts milliseconds in 32 bits. */
export const longestServerMs = 2_147_483_647

/**
 * The name of a role that somebody is to become.
 *
 * @throws InvalidArgumentError for what would leave the rights as they are: no name at all, and 'none', which is the role
 * that logged in
 */
export function assertRole(option: string, role: unknown): void {
  if (isDbName(role) && role !== 'none') return
  const allowed = `the name of a role, of 1 to ${longestName} bytes, and not 'none'; leave ${option} out for the role that logged in`
  throw new InvalidArgumentError(option, shown(role), allowed)
}

/**
 * Runtime parameters that are given as an object. Nothing is passed over: a parameter that does not arrive may be the one
 * that row-level security goes by.
 *
 * @param role where the role is to be said, when not among these
 * @throws InvalidArgumentError at the first that cannot be sent, or that would break what is read
 */
export function assertSettings(option: string, settings: unknown, role?: string): asserts settings is RuntimeSettings {
  if (!isPlain(settings)) {
    throw new InvalidArgumentError(option, shown(settings), 'a plain object of runtime parameters: { name: value }')
  }
  for (const name of fieldNames(settings)) {
    if (!Object.prototype.propertyIsEnumerable.call(settings, name)) {
      throw new InvalidArgumentError(`${option}.${name}`, 'hidden', 'fields of the object itself, as they are written')
    }
    const value = settings[name]
    const path = `${option}.${name}`
    if (!/^[^\0=\s]+$/.test(name)) {
      const allowed = 'names without a space, an = or a zero byte'
      throw new InvalidArgumentError(option, `an object with the name ${JSON.stringify(name)}`, allowed)
    }
    const isText = typeof value === 'string' && !value.includes('\0')
    if (!isText && !Number.isFinite(value) && typeof value !== 'boolean') {
      throw new InvalidArgumentError(path, shown(value), 'a string without a zero byte, a finite number or a boolean')
    }
    // Names of parameters have no case, and in a switch of the server a dash is an underscore.
    const plain = name.toLowerCase().replaceAll('-', '_')
    if (role !== undefined && (plain === 'role' || plain === 'session_authorization')) {
      throw new InvalidArgumentError(path, 'given', `${role}, which is checked`)
    }
    if (plain === 'role') assertRole(path, value)
    assertReadable(path, name, String(value))
  }
}

/**
 * Parameters that decide in which form the server writes values: this side reads one form.
 *
 * @throws InvalidArgumentError
 */
function assertReadable(option: string, name: string, value: string): void {
  switch (name.toLowerCase().replaceAll('-', '_')) {
    case 'client_encoding':
      // The server looks at letters and digits alone.
      if (/^(utf8|unicode)$/.test(value.toLowerCase().replace(/[^a-z0-9]/g, ''))) return
      throw new InvalidArgumentError(option, JSON.stringify(value), "'UTF8', in which everything is sent and read")
    case 'datestyle':
      if (!/\b(postgres|sql|german|default)\b/i.test(value)) return
      throw new InvalidArgumentError(
        option,
        JSON.stringify(value),
        "'ISO', in which dates are read, with the order of day and month: 'ISO, DMY'; to_char() for other forms",
      )
    case 'intervalstyle':
      if (/^\s*postgres\s*$/i.test(value)) return
      throw new InvalidArgumentError(option, JSON.stringify(value), "'postgres', in which intervals are read")
    default:
  }
}

/**
 * The parameters that switches of the server set: `-c name=value`, `-cname=value`, `--name=value`. A backslash takes the
 * next character as it is. https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
 *
 * @throws InvalidArgumentError for those that would break what is read
 */
export function assertReadableSwitches(option: string, text: string): void {
  const words = (text.match(/(?:\\[\s\S]|[^\s\\])+/g) ?? []).map((word) => word.replace(/\\([\s\S])/g, '$1'))
  for (const [at, word] of words.entries()) {
    const said = words[at - 1] === '-c' ? word : /^(?:-c|--)([\s\S]+)$/.exec(word)?.[1]
    const [, name = '', value = ''] = /^([^=]+)=([\s\S]*)$/.exec(said ?? '') ?? []
    assertReadable(`${name} in ${option}`, name, value)
  }
}

/** Of an object that is none of a Map, an array or of a class, whose entries would be passed over. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Only what says what is wrong: a value may be a secret. */
function shown(value: unknown): string {
  if (value === null || value === undefined || value === '' || value === 'none')
    return JSON.stringify(value) ?? 'undefined'
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'string') return `of type ${typeof value}`
  if (value.includes('\0')) return 'a string with a zero byte'
  return `a string of ${Buffer.byteLength(value)} bytes`
}
