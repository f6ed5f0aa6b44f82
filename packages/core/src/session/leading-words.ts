import { SqlLexer } from '../sql/tokens.js'

/** More words than any command needs to be known by. */
const enoughWords = 4

/** The first words of a statement in small letters, after white space, comments and parentheses. */
export function leadingWords(text: string): string {
  const lexer = new SqlLexer(text)
  const words: string[] = []
  while (words.length < enoughWords && lexer.next()) {
    if (lexer.kind === 'word') words.push(lexer.text)
    else if (words.length > 0 || !(lexer.isMark('(') || lexer.isMark(';'))) break
  }
  return words.join(' ')
}
