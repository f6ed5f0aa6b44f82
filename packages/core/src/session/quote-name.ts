import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { longestName } from '../wire/runtime-settings.js'

/**
 * An identifier in double quotes, whatever it contains. One that the server would cut off, and take for another, is
 * refused.
 */
export function quoteIdentifier(name: string): string {
  const isName = typeof name === 'string' && name !== '' && !name.includes('\0')
  if (!isName || Buffer.byteLength(name) > longestName) {
    throw new InvalidOptionError(
      'the identifier',
      JSON.stringify(name),
      `a name of 1 to ${longestName} bytes, without a zero byte`,
    )
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** A name that may have a schema in front, as in `audit.event`, each part quoted. */
export function quoteName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.')
}
