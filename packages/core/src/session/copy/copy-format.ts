import { replaceInParts } from '../../base/replace-in-parts.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'

/** In which form the data of a COPY is. https://www.postgresql.org/docs/18/sql-copy.html */
export interface CopyFormat {
  /** `text` is PostgreSQL's own, `binary` the most compact, `csv` for others. @default 'text' */
  readonly format?: 'text' | 'csv' | 'binary' | undefined
  /** Whether the first line names the columns. Not with `binary`. @default false */
  readonly header?: boolean | undefined
  /** One character between columns. Not with `binary`. @default a tab in `text`, a comma in `csv` */
  readonly delimiter?: string | undefined
  /** What stands for NULL. Not with `binary`. @default `\N` in `text`, nothing in `csv` */
  readonly null?: string | undefined
  /** One character around values in `csv`. @default '"' */
  readonly quote?: string | undefined
  /** One character before a quote in a value in `csv`. @default the same as `quote` */
  readonly escape?: string | undefined
}

/** The names of these options. */
export const formatNames = {
  format: true,
  header: true,
  delimiter: true,
  null: true,
  quote: true,
  escape: true,
} as const

const formats = ['text', 'csv', 'binary']

/** ` with (format csv, ...)`, or nothing when all is as it is by default. */
export function formatClause(options: CopyFormat): string {
  const { format = 'text', header } = options
  if (!formats.includes(format))
    throw new InvalidOptionError('format', JSON.stringify(format), "'text', 'csv' or 'binary'")
  const parts = format === 'text' ? [] : [`format ${format}`]
  if (header !== undefined && typeof header !== 'boolean') {
    throw new InvalidOptionError('header', JSON.stringify(header), 'true or false')
  }
  if (header === true) parts.push('header true')
  for (const name of ['delimiter', 'null', 'quote', 'escape'] as const) {
    const value = options[name]
    if (value === undefined) continue
    if (typeof value !== 'string' || value.includes('\0')) {
      throw new InvalidOptionError(name, JSON.stringify(value), 'a text without a zero byte')
    }
    parts.push(`${name} ${quoteLiteral(value)}`)
  }
  return parts.length === 0 ? '' : ` with (${parts.join(', ')})`
}

/**
 * A text as a literal, whatever `standard_conforming_strings` and `client_encoding` say: only ASCII goes over the wire. In
 * SJIS, BIG5 or GBK a byte of another character may take the backslash behind it for its own second half.
 * https://www.postgresql.org/docs/18/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE
 */
export function quoteLiteral(value: string): string {
  const quoted = value.replaceAll("'", "''")
  // As on every other way to the server, half a surrogate pair becomes U+FFFD.
  const escaped = replaceInParts(quoted.toWellFormed(), /[\\\u0080-\u{10ffff}]/gu, escapeOf)
  return escaped === quoted ? `'${quoted}'` : ` E'${escaped}'`
}

function escapeOf(character: string): string {
  if (character === '\\') return '\\\\'
  return `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`
}
