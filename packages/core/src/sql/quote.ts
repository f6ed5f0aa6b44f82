import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/** PostgreSQL cuts names off after so many bytes; what is said of a longer one would be about another. */
export const longestName = 63
/** Whether this arrives at the server as the name that it is. */
export function isDbName(name: unknown): name is string {
  const isName = typeof name === 'string' && name !== '' && !name.includes('\0') && name.isWellFormed()
  return isName && Buffer.byteLength(name) <= longestName
}

/** What such a name may be, for messages. */
export const dbNameAllowed = `a name of 1 to ${longestName} bytes, without a zero byte or half a surrogate pair`

/**
 * Anything that the server knows by a name.
 *
 * @throws InvalidArgumentError for a name that would arrive as another one
 */
export function assertName(what: string, name: unknown): asserts name is string {
  if (isDbName(name)) return
  throw new InvalidArgumentError(what, JSON.stringify(name)?.slice(0, 200) ?? `of type ${typeof name}`, dbNameAllowed)
}

/**
 * An identifier in double quotes, whatever it contains. One that the server would take for another, as it cuts it off, or
 * as half a surrogate pair becomes U+FFFD on the way, is refused.
 *
 * @throws InvalidArgumentError
 */
export function quoteIdentifier(name: string): string {
  assertName('the identifier', name)
  return `"${name.replaceAll('"', '""')}"`
}

/** A name that may have a schema in front, as in `audit.event`, each part quoted. */
export function quoteName(name: string): string {
  if (typeof name !== 'string') return quoteIdentifier(name)
  return name.split('.').map(quoteIdentifier).join('.')
}
