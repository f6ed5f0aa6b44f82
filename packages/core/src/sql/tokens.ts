/** As much of a string is read at a time, in UTF-16 units. */
const part = 65_536

/**
 * `text.replace(pattern, replacer)` for a pattern with the flag `g`, and one that may be cut anywhere. The engine notes every
 * match before it calls the replacer for the first, and ends the process when there are tens of millions of them: so a long
 * text is taken in parts.
 */
export function replaceInParts(text: string, pattern: RegExp, replacer: (found: string) => string): string {
  if (text.length <= part) return text.replace(pattern, replacer)
  let replaced = ''
  for (let from = 0; from < text.length; ) {
    const to = endOfPart(text, from, part)
    replaced += text.slice(from, to).replace(pattern, replacer)
    from = to
  }
  return replaced
}

/** The end of a part of up to so many units, 2 or more, that begins here: never between the halves of one character. */
export function endOfPart(text: string, from: number, units: number): number {
  const to = from + units
  if (to >= text.length) return text.length
  const last = text.charCodeAt(to - 1)
  return last >= 0xd800 && last <= 0xdbff ? to - 1 : to
}

/**
 * - `word`: a key word or a name without quotes, in small letters.
 * - `name`: a name in quotes, as it is.
 * - `value`: a string, a number or a placeholder.
 * - `mark`: one character of anything else.
 */
export type SqlTokenKind = 'word' | 'name' | 'value' | 'mark'

const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const doubleQuote = 0x22
const dollar = 0x24
const ampersand = 0x26
const apostrophe = 0x27
const star = 0x2a
const plus = 0x2b
const minus = 0x2d
const dot = 0x2e
const slash = 0x2f
const underscore = 0x5f
const letterE = 0x65
const letterU = 0x75

/**
 * Reads an SQL text token by token, comments left out, exactly as the scanner of PostgreSQL 18 does with
 * standard_conforming_strings on. Everybody who looks into SQL reads it through this: whoever takes a comment, a blank or
 * a quote for something else than the server does can be shown another statement than the one that runs.
 *
 * It takes time in proportion to the length of the text, and no stack.
 *
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/parser/scan.l
 */
export class SqlLexer {
  readonly sql: string
  kind: SqlTokenKind = 'mark'
  /** Where the token begins, and where it ends. */
  start = 0
  end = 0
  /**
   * False once something was met that another version or another setting of the server would read in another way, or that
   * no server takes: a backslash in a plain string, `U&'..'`, `1abc`, an end that is missing, a zero byte.
   */
  isCertain = true
  /** Whether something was met that no server of today takes, and that older ones may have read in another way. */
  isBroken = false
  /** Whether a plain string has a backslash in it: with standard_conforming_strings off it may end elsewhere. */
  hasBackslash = false
  readonly #escapes: boolean

  /** @param escapes whether to read plain strings as with standard_conforming_strings off */
  constructor(sql: string, escapes = false) {
    this.sql = sql
    this.#escapes = escapes
  }

  /** Goes to the next token; false when there is none. */
  next(): boolean {
    const { sql } = this
    const at = afterBlanks(this, sql, this.end)
    this.start = at
    this.end = at
    if (at >= sql.length) return false
    const code = sql.charCodeAt(at)
    if (startsName(code)) this.#word(at)
    else if (isDigit(code) || (code === dot && isDigit(sql.charCodeAt(at + 1)) && sql[at - 1] !== '.')) this.#number(at)
    else if (code === apostrophe) this.#string(at, this.#escapes)
    else if (code === doubleQuote) this.#quotedName(at)
    else if (code === dollar) this.#dollar(at)
    else {
      if (code === 0) this.#doubt()
      this.#is('mark', at + 1)
    }
    return true
  }

  /** What the token says: a word in small letters, a quoted name without its quotes, anything else as it is written. */
  get text(): string {
    const written = this.sql.slice(this.start, this.end)
    if (this.kind === 'word') return inSmallLetters(written)
    if (this.kind === 'name') return written.slice(written.indexOf('"') + 1, -1).replaceAll('""', '"')
    return written
  }

  /** Whether the token is this one character, which is no letter, digit or quote. */
  isMark(char: string): boolean {
    return this.kind === 'mark' && this.sql[this.start] === char
  }

  #is(kind: SqlTokenKind, end: number): void {
    this.kind = kind
    this.end = end
  }

  #word(at: number): void {
    const { sql } = this
    let end = at + 1
    while (continuesName(sql.charCodeAt(end))) end += 1
    if (end === at + 1) {
      const letter = sql.charCodeAt(at) | 0x20
      const follows = sql.charCodeAt(end)
      if (follows === apostrophe && (letter === letterE || letter === 0x62 || letter === 0x78 || letter === 0x6e)) {
        // B'..' and X'..' have no escapes in any setting; N'..' is a plain string.
        this.#string(end, letter === letterE || (letter === 0x6e && this.#escapes))
        return
      }
      if (letter === letterU && follows === ampersand) {
        const quote = sql.charCodeAt(end + 1)
        if (quote === apostrophe || quote === doubleQuote) {
          this.isCertain = false
          if (quote === apostrophe) this.#string(end + 1, false)
          else this.#quotedName(end + 1)
          return
        }
      }
    }
    this.#is('word', end)
  }

  #number(at: number): void {
    const { sql } = this
    const letter = sql.charCodeAt(at + 1) | 0x20
    let end: number
    if (sql[at] === '0' && (letter === 0x78 || letter === 0x6f || letter === 0x62)) {
      end = at + 2
      while (isHexDigit(sql.charCodeAt(end))) end += 1
    } else {
      end = afterDigits(sql, at)
      // `1..2` is a range in PL/pgSQL.
      if (sql.charCodeAt(end) === dot && sql.charCodeAt(end + 1) !== dot) end = afterDigits(sql, end + 1)
      if ((sql.charCodeAt(end) | 0x20) === letterE) {
        const sign = sql.charCodeAt(end + 1)
        const digits = sign === plus || sign === minus ? end + 2 : end + 1
        if (isDigit(sql.charCodeAt(digits))) end = afterDigits(sql, digits)
      }
    }
    // Older servers read `1into` as two words, newer ones refuse it.
    if (startsName(sql.charCodeAt(end))) this.#doubt()
    this.#is('value', end)
  }

  /** Strings that only blanks with a line end among them part are one, with the first one's rules. */
  #string(quoteAt: number, escapes: boolean): void {
    const { sql } = this
    let end = quoteAt
    for (;;) {
      end = escapes ? this.#endOfEscaped(end + 1) : this.#endOfQuoted("'", end + 1)
      const next = continuation(sql, end)
      if (next === undefined) break
      end = next
    }
    this.#is('value', end)
  }

  #quotedName(quoteAt: number): void {
    this.#is('name', this.#endOfQuoted('"', quoteAt + 1))
  }

  /** After the closing quote; two of them are one inside. */
  #endOfQuoted(quote: string, from: number): number {
    const { sql } = this
    let at = from
    for (;;) {
      const found = sql.indexOf(quote, at)
      if (found === -1) return this.#unended()
      if (sql[found + 1] !== quote) {
        // With standard_conforming_strings off a backslash would move the end of the string.
        if (quote === "'" && !this.hasBackslash && hasBackslash(sql, from, found)) {
          this.hasBackslash = true
          this.isCertain = false
        }
        return found + 1
      }
      at = found + 2
    }
  }

  #endOfEscaped(from: number): number {
    const { sql } = this
    let at = from
    while (at < sql.length) {
      const char = sql[at]
      if (char === '\\') at += 2
      else if (char !== "'") at += 1
      else if (sql[at + 1] === "'") at += 2
      else return at + 1
    }
    return this.#unended()
  }

  #dollar(at: number): void {
    const { sql } = this
    let end = at + 1
    let code = sql.charCodeAt(end)
    if (isDigit(code)) {
      while (isDigit(sql.charCodeAt(end))) end += 1
      if (startsName(sql.charCodeAt(end))) this.#doubt()
      this.#is('value', end)
      return
    }
    if (startsName(code)) {
      while (code !== dollar && continuesName(code)) {
        end += 1
        code = sql.charCodeAt(end)
      }
    }
    if (code !== dollar) {
      this.#doubt()
      this.#is('mark', at + 1)
      return
    }
    const tag = sql.slice(at, end + 1)
    const closing = sql.indexOf(tag, end + 1)
    this.#is('value', closing === -1 ? this.#unended() : closing + tag.length)
  }

  #doubt(): void {
    this.isCertain = false
    this.isBroken = true
  }

  #unended(): number {
    this.#doubt()
    return this.sql.length
  }
}

/** A token of its own, for those who look back and ahead. */
export interface SqlToken {
  readonly kind: SqlTokenKind
  readonly text: string
}

/** Whether a token is this one character. */
export function isMark(token: SqlToken | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text
}

/**
 * The tokens of an SQL text, comments left out; undefined when it is not certain how the server would read it. Whoever
 * asks must then think the worst of it.
 */
export function sqlTokens(sql: string): SqlToken[] | undefined {
  const lexer = new SqlLexer(sql)
  const tokens: SqlToken[] = []
  while (lexer.next()) tokens.push({ kind: lexer.kind, text: lexer.text })
  return lexer.isCertain ? tokens : undefined
}

/**
 * After blanks and comments. Blanks are those of the server: the other spaces of Unicode are letters to it. A line
 * comment ends at either line end, and comments in marks nest.
 */
function afterBlanks(lexer: SqlLexer, sql: string, from: number): number {
  let at = from
  for (;;) {
    const code = sql.charCodeAt(at)
    if (isBlank(code)) at += 1
    else if (code === minus && sql.charCodeAt(at + 1) === minus) at = endOfLine(sql, at + 2)
    else if (code === slash && sql.charCodeAt(at + 1) === star) {
      at = endOfComment(sql, at)
      if (at > sql.length) {
        lexer.isCertain = false
        lexer.isBroken = true
        return sql.length
      }
    } else return at
  }
}

function endOfLine(sql: string, from: number): number {
  let at = from
  while (at < sql.length && !isLineEnd(sql.charCodeAt(at))) at += 1
  return at
}

/** After the end of the comment that begins here; beyond the text when it does not end. */
function endOfComment(sql: string, from: number): number {
  let depth = 0
  let at = from
  while (at < sql.length) {
    const code = sql.charCodeAt(at)
    if (code === slash && sql.charCodeAt(at + 1) === star) {
      depth += 1
      at += 2
    } else if (code === star && sql.charCodeAt(at + 1) === slash) {
      depth -= 1
      at += 2
      if (depth === 0) return at
    } else at += 1
  }
  return sql.length + 1
}

/** The quote that goes on with a string which has ended here; line comments may stand between, once a line has ended. */
function continuation(sql: string, from: number): number | undefined {
  let hasLineEnd = false
  let at = from
  for (;;) {
    const code = sql.charCodeAt(at)
    if (isLineEnd(code)) hasLineEnd = true
    if (isBlank(code)) at += 1
    else if (code === minus && sql.charCodeAt(at + 1) === minus) {
      at = endOfLine(sql, at + 2)
      if (at >= sql.length) return undefined
    } else return hasLineEnd && code === apostrophe ? at : undefined
  }
}

function afterDigits(sql: string, from: number): number {
  let at = from
  while (isDigit(sql.charCodeAt(at)) || (at > from && sql.charCodeAt(at) === underscore)) at += 1
  return at
}

function hasBackslash(sql: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (sql[at] === '\\') return true
  return false
}

/** As the server does it: letters of ASCII alone. `toLowerCase` would make a k of the sign for Kelvin. */
export function inSmallLetters(word: string): string {
  return /^[\0-\x7f]*$/.test(word)
    ? word.toLowerCase()
    : replaceInParts(word, /[A-Z]+/g, (letters) => letters.toLowerCase())
}

function isBlank(code: number): boolean {
  return code === space || (code >= tab && code <= carriageReturn)
}

function isLineEnd(code: number): boolean {
  return code === lineFeed || code === carriageReturn
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function isHexDigit(code: number): boolean {
  const letter = code | 0x20
  return isDigit(code) || code === underscore || (letter >= 0x61 && letter <= 0x66)
}

function startsName(code: number): boolean {
  const letter = code | 0x20
  return (letter >= 0x61 && letter <= 0x7a) || code === underscore || code >= 0x80
}

function continuesName(code: number): boolean {
  return startsName(code) || isDigit(code) || code === dollar
}
