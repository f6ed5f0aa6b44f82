/**
 * - `word`: a key word or a name without quotes, in small letters.
 * - `name`: a name in quotes, as it is.
 * - `value`: a string, a number or a placeholder.
 * - `mark`: one character of anything else.
 */
export interface SqlToken {
  readonly kind: 'word' | 'name' | 'value' | 'mark'
  readonly text: string
}

/** What PostgreSQL takes for blanks; other spaces of Unicode are letters to it. */
const blank = /[ \t\n\r\f\v]+/y
const lineComment = /--[^\n\r]*/y
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const number = /0[xob][\da-f_]+|(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?/iy
const placeholder = /\$\d+/y
const dollarQuote = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
/** Two apostrophes are one inside of a string. */
const plainString = /'(?:[^']|'')*'/y
/** In `E'...'` a backslash takes the special meaning from what follows. */
const escapeString = /'(?:[^'\\]|''|\\[\s\S])*'/y
const quotedName = /"(?:[^"]|"")*"/y

/** Whether a token is this one character. */
export function isMark(token: SqlToken | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text
}

/**
 * The tokens of a text of SQL, comments left out; undefined when it is not certain how the server would read it. Whoever
 * asks must then think the worst of it.
 *
 * https://www.postgresql.org/docs/18/sql-syntax-lexical.html
 */
export function sqlTokens(sql: string): SqlToken[] | undefined {
  const tokens: SqlToken[] = []
  let at = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(sql)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  while (at < sql.length) {
    if (take(blank) !== undefined || take(lineComment) !== undefined) continue
    if (sql.startsWith('/*', at)) {
      const end = endOfComment(sql, at)
      if (end === undefined) return undefined
      at = end
      continue
    }
    const quote = sql[at]
    if (quote === "'") {
      const string = take(plainString)
      // With standard_conforming_strings off a backslash would move the end of the string.
      if (string === undefined || string.includes('\\')) return undefined
      tokens.push({ kind: 'value', text: "''" })
    } else if (quote === '"') {
      const name = take(quotedName)
      if (name === undefined) return undefined
      tokens.push({ kind: 'name', text: name.slice(1, -1).replaceAll('""', '"') })
    } else if (quote === '$') {
      if (take(placeholder) !== undefined) tokens.push({ kind: 'value', text: '$' })
      else {
        const opening = take(dollarQuote)
        const end = opening === undefined ? -1 : sql.indexOf(opening, at)
        if (opening === undefined || end === -1) return undefined
        at = end + opening.length
        tokens.push({ kind: 'value', text: "''" })
      }
    } else {
      const name = take(word)
      if (name !== undefined) {
        const prefix = prefixedString(sql, at, name)
        if (prefix === 'unsure') return undefined
        if (prefix === 'escapes') {
          if (take(escapeString) === undefined) return undefined
          tokens.push({ kind: 'value', text: "''" })
        } else tokens.push({ kind: 'word', text: name.toLowerCase() })
      } else if (take(number) !== undefined) {
        // Older servers read `1into` as two words, newer ones refuse it.
        if (/[\w\u0080-\uffff]/.test(sql[at] ?? '')) return undefined
        tokens.push({ kind: 'value', text: '0' })
      } else {
        tokens.push({ kind: 'mark', text: quote ?? '' })
        at += 1
      }
    }
  }
  return tokens
}

/** What kind of string a word that stands right before a quote makes of it: `E'..'`, `U&'..'`; the rest are plain. */
function prefixedString(sql: string, at: number, name: string): 'escapes' | 'unsure' | undefined {
  if (/^u$/i.test(name) && /^&['"]/.test(sql.slice(at, at + 2))) return 'unsure'
  return sql[at] === "'" && /^e$/i.test(name) ? 'escapes' : undefined
}

/** Comments nest. The place behind the end of the one that begins here; undefined when it does not end. */
function endOfComment(sql: string, start: number): number | undefined {
  let depth = 0
  let at = start
  while (at < sql.length) {
    if (sql.startsWith('/*', at)) {
      depth += 1
      at += 2
    } else if (sql.startsWith('*/', at)) {
      depth -= 1
      at += 2
      if (depth === 0) return at
    } else at += 1
  }
  return undefined
}
