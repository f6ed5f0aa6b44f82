import { ByText } from './by-text.js'
import { statementHeads } from './statement-heads.js'

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
