import { SqlLexer, type SqlTokenKind } from './tokens.js'

/** More words than any command needs to be known by. */
const enoughWords = 24
const routine = /^create (?:or replace )?(?:function|procedure) /

/**
 * The beginning of each statement of a text: its words in small letters, with one blank between; `,`, `(` and `)` as they
 * are, a name in quotes as `"`, and `?` for anything else. A name in quotes is never taken for a word.
 */
export function statementHeads(text: string): string[] {
  const lexer = new SqlLexer(text)
  const heads: string[] = []
  let words: string[] = []
  let before = ''
  // A semicolon ends no statement in brackets (CREATE RULE), nor in the body of a routine, `begin atomic ... end`.
  let brackets = 0
  let depth = 0
  while (lexer.next()) {
    const isWord = lexer.kind === 'word'
    const char = lexer.kind === 'mark' ? text[lexer.start] : undefined
    if (char === ';' && depth === 0 && brackets === 0) {
      if (words.length > 0) heads.push(words.join(' '))
      words = []
      before = ''
      continue
    }
    if (char === '(') brackets += 1
    else if (char === ')') brackets = Math.max(0, brackets - 1)
    const counts = isWord && lexer.end - lexer.start <= longestKeyWord
    const said = counts ? lexer.text : (char ?? '?')
    if (words.length < enoughWords) words.push(isWord ? lexer.text : headOf(lexer.kind, char))
    if (counts) {
      if (said === 'atomic' && before === 'begin' && depth === 0 && routine.test(`${words.slice(0, 4).join(' ')} `))
        depth = 1
      else if (depth > 0 && before !== 'as' && before !== '.') {
        if (said === 'case' || (said === 'atomic' && before === 'begin')) depth += 1
        else if (said === 'end') depth -= 1
      }
    }
    before = said
  }
  if (words.length > 0) heads.push(words.join(' '))
  return heads
}

/** `atomic`, and with it all that is counted here, is shorter; a name of megabytes is not put into small letters for it. */
const longestKeyWord = 16

function headOf(kind: SqlTokenKind, char: string | undefined): string {
  if (kind === 'name') return '"'
  return char === ',' || char === '(' || char === ')' ? char : '?'
}

/**
 * The first words of a text, in small letters with one blank between: behind blanks, comments, opening brackets and empty
 * statements. Fewer than `most` where something else than a word follows. It reads no further than that.
 */
export function firstWords(text: string, most: number): string {
  const lexer = new SqlLexer(text)
  const words: string[] = []
  while (words.length < most && lexer.next()) {
    if (lexer.kind === 'word') words.push(lexer.text)
    else if (words.length > 0 || !(lexer.isMark('(') || lexer.isMark(';'))) break
  }
  return words.join(' ')
}
