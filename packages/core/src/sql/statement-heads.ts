import { SqlLexer, type SqlTokenKind } from './tokens.js'

/** More words than any command needs to be known by. */
const enoughWords = 24
const routine = /^create (?:or replace )?(?:function|procedure) /

/**
 * The beginning of each statement of a text: its words in small letters, with one blank between; `,`, `(` and `)` as they
 * are, a name in quotes as `"`, and `?` for anything else. A name in quotes is never taken for a word.
 *
 * @param escapes whether to read plain strings as with standard_conforming_strings off
 */
export function statementHeads(text: string, escapes = false): string[] {
  const lexer = new SqlLexer(text, escapes)
  const heads: string[] = []
  let words: string[] = []
  let before = ''
  // A semicolon ends no statement in brackets (CREATE RULE), nor in the body of a routine, `begin atomic ... end`.
  let brackets = 0
  let isInBody = false
  while (lexer.next()) {
    const isWord = lexer.kind === 'word'
    const char = lexer.kind === 'mark' ? text[lexer.start] : undefined
    if (char === ';' && !isInBody && brackets === 0) {
      if (words.length > 0) heads.push(words.join(' '))
      words = []
      before = ''
      continue
    }
    if (char === '(') brackets += 1
    else if (char === ')') brackets = Math.max(0, brackets - 1)
    const said = isWord && lexer.end - lexer.start <= longestKeyWord ? lexer.text : (char ?? '?')
    if (words.length < enoughWords) words.push(isWord ? lexer.text : headOf(lexer.kind, char))
    if (isInBody) {
      // `end` may be the name of a column elsewhere; that of the body begins a statement.
      if (said === 'end' && (before === ';' || before === 'atomic')) isInBody = false
    } else if (said === 'atomic' && before === 'begin' && brackets === 0) {
      isInBody = routine.test(`${words.slice(0, 4).join(' ')} `)
    }
    before = said
  }
  if (words.length > 0) heads.push(words.join(' '))
  return heads
}

/**
 * The first words of a text, in the form of a head: no more is read of it than that. Brackets ahead of them, and empty
 * statements, are left out.
 */
export function firstWords(text: string, most: number): string {
  const lexer = new SqlLexer(text)
  const words: string[] = []
  while (words.length < most && lexer.next()) {
    const char = lexer.kind === 'mark' ? text[lexer.start] : undefined
    if (words.length === 0 && (char === '(' || char === ';')) continue
    if (char === ';') break
    words.push(lexer.kind === 'word' ? lexer.text : headOf(lexer.kind, char))
  }
  return words.join(' ')
}

/** `atomic`, and with it all that is counted here, is shorter; a name of megabytes is not put into small letters for it. */
const longestKeyWord = 16

function headOf(kind: SqlTokenKind, char: string | undefined): string {
  if (kind === 'name') return '"'
  return char === ',' || char === '(' || char === ')' ? char : '?'
}
