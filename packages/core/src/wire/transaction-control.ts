import { mayHoldSeveral } from './statement-texts.js'

type Isolation = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable'

/** What a text does to the transaction that is open on its session, if it does anything to it. */
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

const mayControl = /^[\s;]*(?:begin|start|commit|end|rollback|abort|prepare|--|\/\*)/i
const mode =
  '(?:isolation level (?:serializable|repeatable read|read committed|read uncommitted)|read only|read write|not deferrable|deferrable)'
const begin = new RegExp(`^(?:begin(?: work| transaction)?|start transaction)(?:(?: ${mode})(?: ,(?= ))?)*$`)
const ending = /^(commit|end|rollback|abort)(?: work| transaction)?( and(?: no)? chain)?$/

/**
 * Recognises BEGIN, COMMIT, ROLLBACK and their synonyms as the server does: in any case, behind comments, and not in
 * strings, quoted names, dollar quotes or the body of a routine. SAVEPOINT and what belongs to it is no transaction
 * control. https://www.postgresql.org/docs/18/sql-syntax-lexical.html
 */
export function transactionControl(text: string): TransactionControl | undefined {
  if (!mayControl.test(text) && !mayHoldSeveral(text)) return undefined
  const statements = statementsOf(text)
  const controls = statements.map(controlOf)
  if (statements.length < 2) return controls[0]
  return controls.some((control) => control !== undefined) ? { kind: 'mixed' } : undefined
}

function controlOf(statement: string): TransactionControl | undefined {
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

/** More words than any transaction control has. */
const enoughWords = 24
const routine = /^create (?:or replace )?(?:function|procedure) /

/** The beginning of each statement of a text: its words in lower case, `?` for anything else. */
function statementsOf(text: string): string[] {
  const statements: string[] = []
  let words: string[] = []
  // As psql counts: a semicolon in the body of a routine, `begin atomic ... end`, ends no statement.
  let depth = 0
  for (const token of tokensOf(text)) {
    if (token === ';' && depth === 0) {
      if (words.length > 0) statements.push(words.join(' '))
      words = []
      continue
    }
    if (words.length < enoughWords) words.push(token)
    if (token === 'begin' && routine.test(`${words.join(' ')} `)) depth += 1
    else if (token === 'case' && depth > 0) depth += 1
    else if (token === 'end' && depth > 0) depth -= 1
  }
  if (words.length > 0) statements.push(words.join(' '))
  return statements
}

const wordAt = /[a-z_\u0080-\uffff][\w$\u0080-\uffff]*/iy
const dollarAt = /\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/iy
const spaceAt = /\s+/y

function* tokensOf(text: string): Generator<string> {
  let at = 0
  while (at < text.length) {
    const space = matchAt(spaceAt, text, at)
    if (space !== undefined) at += space.length
    else if (text.startsWith('--', at)) at = endOf(text, '\n', at)
    else if (text.startsWith('/*', at)) at = endOfComment(text, at)
    else {
      const word = matchAt(wordAt, text, at)
      const dollar = matchAt(dollarAt, text, at)
      const char = text[at] ?? ''
      const isEscaped = (word === 'e' || word === 'E') && text[at + 1] === "'"
      if (isEscaped) at = endOfEscaped(text, at + 2)
      else if (word !== undefined) at += word.length
      else if (dollar !== undefined) at = endOf(text, dollar, at + dollar.length)
      else if (char === "'" || char === '"') at = endOf(text, char, at + 1)
      else at += 1
      if (word !== undefined && !isEscaped) yield word.toLowerCase()
      else yield char === ';' || char === ',' ? char : '?'
    }
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

/** Behind the next `what`; the end of the text when there is none, which the server will refuse. */
function endOf(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from)
  return at === -1 ? text.length : at + what.length
}

/** Behind a comment; those of SQL nest. */
function endOfComment(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('/*', at)) {
      depth += 1
      at += 1
    } else if (text.startsWith('*/', at)) {
      depth -= 1
      at += 1
      if (depth === 0) return at + 1
    }
  }
  return text.length
}

/** Behind a string in which a backslash hides the quote after it. */
function endOfEscaped(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === "'" && text[at + 1] === "'") at += 1
    else if (text[at] === "'") return at + 1
  }
  return text.length
}
