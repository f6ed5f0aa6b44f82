import { ByText } from './by-text.js'
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

/** What a text may do to transactions, as far as its words show. */
export interface TextEffects {
  /** Run outside of a transaction it begins one and leaves it open. */
  readonly leavesOpen: boolean
  /** It ends the transaction that it is run in, and perhaps begins another. */
  readonly endsTransaction: boolean
  /** Outside of a transaction it may commit before it is over: a cancel then does not undo it. */
  readonly commitsByItself: boolean
  /** The transaction that it ends is followed by another at once: AND CHAIN. */
  readonly chains: boolean
}

const noEffects: TextEffects = { leavesOpen: false, endsTransaction: false, commitsByItself: false, chains: false }
/** A text that has none of these words in it does nothing of the kind: most need no closer look. */
const mayAct =
  /\b(?:begin|start|commit|end|rollback|abort|prepare|call|do|concurrently|vacuum|analy[sz]e|cluster|reindex|database|tablespace|repack|subscription|system)\b/i

const begins = /^(?:begin|start transaction)(?: |$)/
const ends = /^(?:commit|end|rollback|abort)(?: work| transaction)?( and chain| and no chain)?$/
const prepares = /^prepare transaction(?: |$)/
/**
 * What commits in the midst of its own work, or takes effect at once: procedures and DO blocks, and the commands that the
 * server refuses in a transaction block. https://www.postgresql.org/docs/18/plpgsql-transactions.html
 */
const commits =
  /^(?:call|do|vacuum|analy[sz]e|cluster|reindex|repack)(?: |$)|^(?:create|drop|alter) (?:database|tablespace|subscription|system)(?: |$)|^(?:create (?:unique )?index|drop index|alter table) .*\bconcurrently(?: |$)/

const judged = new ByText(judge)

/** Judged by the words of each statement; one that is wrong in itself is judged as it begins. */
export function textEffects(text: string): TextEffects {
  return mayAct.test(text) ? judged.of(text) : noEffects
}

function judge(text: string): TextEffects {
  const effects = effectsOf(statementHeads(text))
  if (!text.includes("\\'")) return effects
  // With standard_conforming_strings off its strings may end elsewhere. A text is not refused for that, but it is not
  // called undone either.
  const { endsTransaction, commitsByItself, chains } = effectsOf(statementHeads(text, true))
  return {
    leavesOpen: effects.leavesOpen,
    endsTransaction: effects.endsTransaction || endsTransaction,
    commitsByItself: effects.commitsByItself || commitsByItself,
    chains: effects.chains || chains,
  }
}

function effectsOf(heads: readonly string[]): TextEffects {
  let leavesOpen = false
  let endsTransaction = false
  let commitsByItself = false
  let chains = false
  for (const head of heads) {
    if (begins.test(head)) leavesOpen = true
    else if (prepares.test(head)) {
      leavesOpen = false
      endsTransaction = true
    } else {
      const ended = ends.exec(head)
      if (ended !== null) {
        const isChain = ended[1] === ' and chain'
        leavesOpen = leavesOpen && isChain
        chains ||= isChain
        endsTransaction = true
      } else if (commits.test(head)) commitsByItself = true
    }
  }
  return { leavesOpen, endsTransaction, commitsByItself: commitsByItself || endsTransaction, chains }
}

const endsOrReturns = /^(?:commit|end|rollback|abort|prepare transaction)(?: |$)/
const returns = /^rollback (?:work |transaction )?to /

/**
 * The first word of the server, out of those that came for the statements of a text, that ends a transaction. Its word
 * for ROLLBACK TO SAVEPOINT is `ROLLBACK`, too; the text tells them apart.
 *
 * @param words COMMIT, ROLLBACK and PREPARE TRANSACTION, as the server said them
 */
export function firstEnd(text: string, words: readonly string[]): string | undefined {
  if (words.length === 0) return undefined
  const asked = statementHeads(text).filter((head) => endsOrReturns.test(head))
  return words.find((word, at) => word !== 'ROLLBACK' || !returns.test(asked[at] ?? ''))
}
