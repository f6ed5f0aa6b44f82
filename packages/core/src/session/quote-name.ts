import { assertName } from '../wire/runtime-settings.js'

/**
 * An identifier in double quotes, whatever it contains. One that the server would take for another, as it cuts it off, or
 * as half a surrogate pair becomes U+FFFD on the way, is refused.
 *
 * @throws InvalidOptionError
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
