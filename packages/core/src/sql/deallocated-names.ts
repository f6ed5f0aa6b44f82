import { SqlLexer } from './tokens.js'

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
