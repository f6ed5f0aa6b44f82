import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { prepareValue } from '../../wire/pg-internals.js'
import type { Sql } from '../sql/sql-statement.js'
import { quoteLiteral } from './copy-format.js'

/**
 * A statement with its values written into it as literals, for COPY alone, which takes no parameters. It goes to the
 * server only behind a Parse and Bind of the same text with placeholders, which fails where a placeholder is none: inside
 * of quotes or a comment, a literal would mean something else than a value.
 */
export function withLiterals(statement: Sql): string {
  // In parentheses, so that nothing in front of it becomes a part of it, as the E of E'...' would.
  return statement.render((value, index) => `(${literalOf(value, index)})`)
}

function literalOf(value: unknown, index: number): string {
  const ready = prepareValue(value)
  if (ready === null || ready === undefined) return 'null'
  const text = ready instanceof Uint8Array ? `\\x${Buffer.from(ready).toString('hex')}` : String(ready)
  if (text.includes('\0')) {
    throw new InvalidOptionError(`value ${index + 1} of the statement`, 'a text with a zero byte', 'a text without')
  }
  return quoteLiteral(text)
}
