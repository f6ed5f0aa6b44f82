import { SqlLexer, type SqlTokenKind } from './tokens.js'

/** More words than any command needs to be known by. */
const enoughWords = 24
const routine = /^create (?:or replace )?(?:function|procedure) /

/**
 * The beginning of each statement of an SQL text: its words in small letters, with one blank between; `,`, `(` and `)` as they
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
 * The first words of an SQL text, in the form of a head: no more is read of it than that. Brackets ahead of them, and empty
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

/** An SQL text, and the beginnings of its statements, which are read when they are asked for first. */
export interface StatementHeads {
  readonly text: string
  /** As `statementHeads` gives them. */
  readonly heads: readonly string[]
}

/** What an SQL text may do to transactions, as far as its words show. */
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
/** An SQL text that has none of these words in it does nothing of the kind: most need no closer look. */
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

/** Judged by the words of each statement; one that is wrong in itself is judged as it begins. */
export function effectsOf(sql: StatementHeads): TextEffects {
  const { text } = sql
  if (!mayAct.test(text)) return noEffects
  const effects = effectsOfHeads(sql.heads)
  if (!text.includes("\\'")) return effects
  // With standard_conforming_strings off its strings may end elsewhere. An SQL text is not refused for that, but it is not
  // called undone either.
  const { endsTransaction, commitsByItself, chains } = effectsOfHeads(statementHeads(text, true))
  return {
    leavesOpen: effects.leavesOpen,
    endsTransaction: effects.endsTransaction || endsTransaction,
    commitsByItself: effects.commitsByItself || commitsByItself,
    chains: effects.chains || chains,
  }
}

function effectsOfHeads(heads: readonly string[]): TextEffects {
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
 * The first word of the server, out of those that came for the statements of an SQL text, that ends a transaction. Its word
 * for ROLLBACK TO SAVEPOINT is `ROLLBACK`, too; the SQL text shows which of the two it is.
 *
 * @param words COMMIT, ROLLBACK and PREPARE TRANSACTION, as the server said them
 */
export function firstEnd({ heads }: StatementHeads, words: readonly string[]): string | undefined {
  const asked = heads.filter((head) => endsOrReturns.test(head))
  return words.find((word, at) => word !== 'ROLLBACK' || !returns.test(asked[at] ?? ''))
}

type Isolation = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable'

/** What an SQL text does to the transaction that is open on its session, if it does anything to it. */
export type TransactionControl =
  | {
      readonly kind: 'begin'
      /** False: the server will refuse it, for its modes. */
      readonly isValid: boolean
      readonly isolation: Isolation | undefined
      readonly readOnly: boolean | undefined
      readonly deferrable: boolean | undefined
    }
  /** `chain`: the next transaction begins with it. */
  | { readonly kind: 'commit' | 'rollback'; readonly chain: boolean }
  | { readonly kind: 'prepare' }
  /** Several statements in one text, and one of them begins or ends a transaction. */
  | { readonly kind: 'mixed' }

/** Without any of these words in it, in any case, an SQL text controls nothing: most need no closer look. */
const mayControl = /\b(?:begin|start|commit|end|rollback|abort|prepare)\b/i
const mode =
  '(?:isolation level (?:serializable|repeatable read|read committed|read uncommitted)|read only|read write|not deferrable|deferrable)'
const begin = new RegExp(`^(?:begin(?: work| transaction)?|start transaction)(?:(?: ${mode})(?: ,(?= ))?)*$`)
const ending = /^(commit|end|rollback|abort)(?: work| transaction)?( and(?: no)? chain)?$/

/**
 * Recognises BEGIN, COMMIT, ROLLBACK and their synonyms as the server does: in any case, after comments, and not in
 * strings, quoted names, dollar quotes or the body of a routine. SAVEPOINT and what belongs to it is no transaction
 * control. https://www.postgresql.org/docs/18/sql-syntax-lexical.html
 */
export function controlOf(sql: StatementHeads): TransactionControl | undefined {
  if (!mayControl.test(sql.text)) return undefined
  const { heads } = sql
  const controls = heads.map(controlOfHead)
  if (heads.length < 2) return controls[0]
  return controls.some((control) => control !== undefined) ? { kind: 'mixed' } : undefined
}

function controlOfHead(statement: string): TransactionControl | undefined {
  if (/^(?:begin|start transaction)(?: |$)/.test(statement)) {
    const isolation = /isolation level (serializable|repeatable read|read \w+)/.exec(statement)?.[1]
    return {
      kind: 'begin',
      isValid: begin.test(statement),
      isolation: isolation as Isolation | undefined,
      readOnly: statement.includes(' read only') ? true : statement.includes(' read write') ? false : undefined,
      deferrable: statement.includes(' not deferrable') ? false : statement.includes(' deferrable') ? true : undefined,
    }
  }
  const ended = ending.exec(statement)
  if (ended !== null) {
    const kind = ended[1] === 'commit' || ended[1] === 'end' ? 'commit' : 'rollback'
    return { kind, chain: ended[2] === ' and chain' }
  }
  return statement.startsWith('prepare transaction ') ? { kind: 'prepare' } : undefined
}
