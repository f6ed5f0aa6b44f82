import { InvalidOptionError } from '../errors/invalid-option-error.js'

/** An identifier in double quotes, whatever it contains. */
export function quoteIdentifier(name: string): string {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    throw new InvalidOptionError(
      'the identifier',
      JSON.stringify(name),
      'a name of at least one character, without a zero byte',
    )
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** A name that may have a schema in front, as in `audit.event`, each part quoted. */
export function quoteName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.')
}
