import { createHash } from 'node:crypto'
import { type TextEffects, textEffects } from '../sql/text-effects.js'
import { zeroEnded } from './outbox.js'

/** A longer text is parsed each time: there are not many that come again, and each would be held for each connection. */
const longestText = 16_384
/** The texts of one generation, taken together. */
const mostCharacters = 1_000_000

/** Reads or writes rows, and no more: no word of these can begin or end a transaction, or change the session's settings. */
const rowsOnly =
  /^(?:\s|--[^\n]*\n|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*))*\*\/|\()*(?:select|insert|update|delete|with|values|merge|table)\b/i

/**
 * Whether a text could hold more than one statement. Only such a text needs the simple protocol; a semicolon in a
 * string costs no more than a round trip.
 */
export function mayHoldSeveral(text: string): boolean {
  const at = text.indexOf(';')
  return at !== -1 && text.slice(at + 1).trim() !== ''
}

/** What is known of a text that has been run: found out once for the pool, whichever connection runs it. */
export class StatementText {
  readonly text: string
  /**
   * One statement that reads or writes rows. Only such a statement is prepared without being told to, and only such a
   * one may share a connection: anything else may begin a transaction, or change the session for those behind it.
   */
  readonly isPlain: boolean
  /** Whether it may have placeholders: then it must not be run without values by the extended protocol. */
  readonly mayTakeValues: boolean
  /** Whether names in other statements may mean something else behind it. */
  readonly setsSearchPath: boolean
  /** How often it was asked for. */
  uses = 0
  /** From 0 for fast to 1 for slow; undefined before it has run. Used by whoever decides what may wait behind it. */
  slowness: number | undefined
  #effects: TextEffects | undefined
  #name: string | undefined
  #nameBytes: Buffer | undefined

  constructor(text: string) {
    this.text = text
    this.isPlain = rowsOnly.test(text) && !mayHoldSeveral(text)
    this.mayTakeValues = text.includes('$')
    this.setsSearchPath = /search_path/i.test(text)
  }

  /** What it may do to transactions; looked at when somebody asks. */
  get effects(): TextEffects {
    this.#effects ??= textEffects(this.text)
    return this.#effects
  }

  /** Whether it is worth a statement on the server: a text that never comes again is not. */
  get isWorthPreparing(): boolean {
    return this.isPlain && this.uses > 1 && this.text.length <= longestText
  }

  /**
   * Its name on the server: made of the text, so that the same name never means two texts, not even when a pooler in
   * between lends one session to several processes.
   */
  get name(): string {
    this.#name ??= `lg_${createHash('sha256').update(this.text).digest('base64url').slice(0, 20)}`
    return this.#name
  }
  get nameBytes(): Buffer {
    this.#nameBytes ??= zeroEnded(this.name)
    return this.#nameBytes
  }
}

/**
 * The texts that a pool runs, bounded in number and in size: what was not asked for in two generations is forgotten.
 * That takes one look-up for a text in use, where a list in order of use would be rewritten by every statement.
 */
export class StatementTexts {
  readonly #most: number
  #young = new Map<string, StatementText>()
  #old = new Map<string, StatementText>()
  #characters = 0
  /** Statements that each connection may keep prepared; 0 keeps none. Set to 0 when the way there does not carry them. */
  cacheSize: number
  /** Goes up when a table was altered over any connection of the pool: what was prepared before is prepared anew. */
  epoch = 0

  constructor(cacheSize: number) {
    this.cacheSize = cacheSize
    this.#most = Math.max(1_000, cacheSize * 2)
  }

  /** How many texts it remembers. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** What is known of this text; counts as a use of it. */
  of(text: string): StatementText {
    let known = this.#young.get(text)
    if (known === undefined) {
      known = this.#old.get(text) ?? new StatementText(text)
      this.#add(known)
    }
    known.uses += 1
    return known
  }

  #add(known: StatementText): void {
    const { length } = known.text
    if (length > longestText) return
    if (this.#young.size >= this.#most || this.#characters + length > mostCharacters) {
      this.#old = this.#young
      this.#young = new Map()
      this.#characters = 0
    }
    this.#young.set(known.text, known)
    this.#characters += length
  }
}
