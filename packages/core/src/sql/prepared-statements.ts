import { SqlLexer } from './tokens.js'

const special = /(?<![a-z])(?:now|today|tomorrow|yesterday|allballs)(?![a-z])/i
/** Parts of a string on several lines. */
const inParts = /'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r]/
const byCodes = /u&'/i
const escapes = /\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g
const control: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/**
 * Whether a literal of a text may be a date or a time that depends on when it is read, such as 'now' or 'tomorrow 12:00'.
 * The server reads a literal when it prepares the statement. A string in parts, or by codes of Unicode, counts as one.
 */
export function mayHoldMoment(text: string): boolean {
  if (!(text.includes("'") || text.includes('$'))) return false
  // Most texts have nothing of the kind, in a literal or anywhere else.
  if (!(special.test(text) || text.includes('\\') || byCodes.test(text) || inParts.test(text))) return false
  const lexer = new SqlLexer(text)
  if (holdsMoment(lexer)) return true
  return lexer.hasBackslash && holdsMoment(new SqlLexer(text, true))
}

function holdsMoment(lexer: SqlLexer): boolean {
  while (lexer.next()) {
    if (lexer.kind === 'value' && mayBeMoment(lexer.text)) return true
  }
  return false
}

/** A string as it is written. In a plain one escapes may count or not: that hangs on a setting. */
function mayBeMoment(literal: string): boolean {
  const first = literal.charCodeAt(0)
  if ((first | 0x20) === 0x75) return true
  const hasEscapes = first !== dollar && literal.includes('\\')
  if (hasEscapes && special.test(literal.replace(escapes, plain))) return true
  // The `e` ahead of a string is no part of it, nor are its escapes as they are written.
  if (!(hasEscapes && (first | 0x20) === letterE) && special.test(literal)) return true
  return first !== dollar && inParts.test(literal)
}

const dollar = 0x24
const letterE = 0x65

/** What an escape stands for. */
function plain(written: string): string {
  const said = written.slice(1)
  // Of three octal digits the server keeps eight bits.
  if (/^[0-7]/.test(said)) return String.fromCharCode(Number.parseInt(said, 8) & 0xff)
  if (said.length === 1) return control[said] ?? said
  return String.fromCodePoint(Math.min(Number.parseInt(said.slice(1), 16), 0x10_ffff))
}

/** The server cuts names off at so many bytes. */
const mostNameBytes = 63

/**
 * The names that the DEALLOCATE statements of a text free, in their order, DEALLOCATE ALL left out: the server has another
 * word for that. Undefined where it is not certain how the server reads them.
 */
export function deallocatedNames(text: string): readonly string[] | undefined {
  const lexer = new SqlLexer(text)
  const names: string[] = []
  let isAtBeginning = true
  while (lexer.next()) {
    if (lexer.isMark(';')) isAtBeginning = true
    else if (isAtBeginning && isWord(lexer, 'deallocate')) {
      isAtBeginning = false
      let hasMore = lexer.next()
      let word = hasMore && !lexer.isMark(';') ? nameOf(lexer) : undefined
      if (hasMore && isWord(lexer, 'prepare')) {
        // It may be the name itself.
        hasMore = lexer.next()
        if (hasMore && !lexer.isMark(';')) word = nameOf(lexer)
      }
      if (word === undefined) return undefined
      if (!(hasMore && isWord(lexer, 'all'))) names.push(word)
      if (hasMore && lexer.isMark(';')) isAtBeginning = true
    } else isAtBeginning = false
  }
  return lexer.isCertain ? names : undefined
}

function isWord(lexer: SqlLexer, word: string): boolean {
  return lexer.kind === 'word' && lexer.text === word
}

function nameOf(lexer: SqlLexer): string | undefined {
  const { kind, text } = lexer
  if (kind !== 'word' && kind !== 'name') return undefined
  // With an encoding of one byte for a character the server puts more into small letters than those of ASCII.
  if (kind === 'word' && !/^[\0-\x7f]*$/.test(text)) return undefined
  return cutOff(text)
}

function cutOff(name: string): string {
  if (Buffer.byteLength(name) <= mostNameBytes) return name
  const bytes = Buffer.from(name)
  let end = mostNameBytes
  // Not within a character.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}
