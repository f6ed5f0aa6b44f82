import { deallocatedNames, mayHoldMoment, meaningOf, type TextMeaning } from './prepared-statements.js'
import { type Reading, readingOf } from './read-only.js'
import {
  controlOf,
  effectsOf,
  type StatementHeads,
  statementHeads,
  type TextEffects,
  type TransactionControl,
} from './transaction-control.js'

/** A longer SQL text is not remembered: few of them come again, and each would be held for each connection. */
const longestText = 16_384
/** All SQL texts of one generation. */
const mostCharacters = 1_000_000
/** How many SQL texts the process remembers, in each of two generations. */
const mostTexts = 2_000

/**
 * What an SQL text is and does, as far as its words show. Each fact is found when somebody asks for it first, and kept.
 * There is one object for an SQL text, whoever asks: see `sqlText`.
 */
export class SqlText implements StatementHeads {
  readonly text: string
  /** Whether it may have placeholders: then it must not be run without values by the extended protocol. */
  readonly mayTakeValues: boolean
  #meaning: TextMeaning | undefined
  #isSteady: boolean | undefined
  #heads: readonly string[] | undefined
  #effects: TextEffects | undefined
  #control: { readonly is: TransactionControl | undefined } | undefined
  #freed: { readonly names: readonly string[] | undefined } | undefined
  #reading: { readonly is: Reading | undefined } | undefined

  constructor(text: string) {
    this.text = text
    this.mayTakeValues = text.includes('$')
  }

  /** What it may do to the meaning of what is prepared. */
  get meaning(): TextMeaning {
    this.#meaning ??= meaningOf(this.text)
    return this.#meaning
  }

  /**
   * One statement that reads or writes rows. Only such a statement is prepared of the pool's own accord, and only such a
   * one may share a connection: anything else may begin a transaction, or change the session for those after it.
   */
  get isAboutRows(): boolean {
    return this.meaning.isAboutRows
  }

  /**
   * Whether it is about rows, means the same at every time, and is one text only: literals such as 'now' are read when it is
   * prepared, and all lone surrogates are the same sign for the server, and so for its name. False for an SQL text that is
   * too long to be remembered.
   */
  get isSteady(): boolean {
    const { text } = this
    this.#isSteady ??= this.isAboutRows && text.length <= longestText && text.isWellFormed() && !mayHoldMoment(text)
    return this.#isSteady
  }

  /** The beginnings of its statements. */
  get heads(): readonly string[] {
    this.#heads ??= statementHeads(this.text)
    return this.#heads
  }

  /** What it may do to transactions. */
  get effects(): TextEffects {
    this.#effects ??= effectsOf(this)
    return this.#effects
  }

  /** What it is as a command that begins or ends a transaction; undefined when it is none. */
  get control(): TransactionControl | undefined {
    this.#control ??= { is: controlOf(this) }
    return this.#control.is
  }

  /** The names of prepared statements that it frees, in their order; undefined where that is not certain. */
  get deallocatedNames(): readonly string[] | undefined {
    this.#freed ??= { names: deallocatedNames(this.text) }
    return this.#freed.names
  }

  /** What it reads, where it is one statement that changes nothing by its own words. */
  get reading(): Reading | undefined {
    this.#reading ??= { is: readingOf(this.text) }
    return this.#reading.is
  }
}

/**
 * What is known of SQL texts, bounded in number and in size: what was not asked for in two generations is forgotten. That
 * takes one look-up for an SQL text in use, where a list in order of use would be rewritten by every statement.
 */
export class RecentTexts<T extends { readonly text: string }> {
  readonly #find: (text: string) => T
  readonly #most: number
  readonly #longest: number
  #young = new Map<string, T>()
  #old = new Map<string, T>()
  #characters = 0

  /**
   * @param find what is known of an SQL text that comes for the first time
   * @param most SQL texts in each of the two generations
   * @param longest characters of an SQL text that is remembered
   */
  constructor(find: (text: string) => T, most: number, longest = longestText) {
    this.#find = find
    this.#most = most
    this.#longest = longest
  }

  /** How many texts it remembers. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  of(text: string): T {
    let known = this.#young.get(text)
    if (known === undefined) {
      known = this.#old.get(text) ?? this.#find(text)
      this.#add(known)
    }
    return known
  }

  #add(known: T): void {
    const { length } = known.text
    if (length > this.#longest) return
    if (this.#young.size >= this.#most || this.#characters + length > mostCharacters) {
      this.#old = this.#young
      this.#young = new Map()
      this.#characters = 0
    }
    this.#young.set(known.text, known)
    this.#characters += length
  }
}

/** Those of this process, whichever pool runs them. */
const all = new RecentTexts((text) => new SqlText(text), mostTexts)

/** What is known of an SQL text: the same object for as long as it is in use. */
export function sqlText(text: string): SqlText {
  return all.of(text)
}

/** Whether an SQL text could hold more than one statement: only such a text needs the simple protocol. */
export function mayHoldSeveral(text: string): boolean {
  const at = text.indexOf(';')
  return at !== -1 && at < text.length - 1 && sqlText(text).meaning.holdsSeveral
}
