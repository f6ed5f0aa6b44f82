import { ByText } from './by-text.js'
import { statementHeads } from './text-effects.js'

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

/** Without any of these words in it, in any case, a text controls nothing: most need no closer look. */
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
export function transactionControl(text: string): TransactionControl | undefined {
  return mayControl.test(text) ? (judged.of(text) ?? undefined) : undefined
}

const judged = new ByText<TransactionControl | null>((text) => {
  const statements = statementHeads(text)
  const controls = statements.map(controlOf)
  if (statements.length < 2) return controls[0] ?? null
  return controls.some((control) => control !== undefined) ? { kind: 'mixed' } : null
})

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
