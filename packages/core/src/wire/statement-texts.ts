import { createHash } from 'node:crypto'
import { meaningOf, type TextMeaning } from '../sql/meaning.js'
import { mayHoldMoment } from '../sql/moments.js'
import { type TextEffects, textEffects } from '../sql/text-effects.js'
import { zeroEnded } from './outbox.js'

/** A longer text is parsed each time: there are not many that come again, and each would be held for each connection. */
const longestText = 16_384
/** The texts of one generation, taken together. */
const mostCharacters = 1_000_000

/**
 * The name of a text on the server: made of the text, so that the same name never means two texts, not even when a
 * pooler in between lends one session to several processes.
 *
 * @param state what else decides what it means: role and settings of a transaction; '' for those of the session
 */
export function nameOf(text: string, state = ''): string {
  const hash = createHash('sha256')
  if (state !== '') hash.update(state).update('\0')
  return `lg_${hash.update(text).digest('base64url').slice(0, 20)}`
}

/** What is known of a text that has been run: found out once for the pool, whichever connection runs it. */
export class StatementText {
  readonly text: string
  /**
   * One statement that reads or writes rows. Only such a statement is prepared without being told to, and only such a
   * one may share a connection: anything else may begin a transaction, or change the session for those behind it.
   */
  readonly isPlain: boolean
  /** What it may do to the meaning of what is prepared. */
  readonly meaning: TextMeaning
  /** Whether it may have placeholders: then it must not be run without values by the extended protocol. */
  readonly mayTakeValues: boolean
  /**
   * Whether it is plain, means the same at every time, and is one text only: literals such as 'now' are read when it is prepared,
   * and all lone surrogates are the same sign for the server, and so for its name.
   */
  readonly #isSteady: boolean
  /** How often it was asked for. */
  uses = 0
  /** From 0 for fast to 1 for slow; undefined before it has run. Used by whoever decides what may wait behind it. */
  slowness: number | undefined
  #effects: TextEffects | undefined
  #name: string | undefined
  #nameBytes: Buffer | undefined

  constructor(text: string) {
    this.text = text
    this.meaning = meaningOf(text)
    this.isPlain = this.meaning.isAboutRows
    this.mayTakeValues = text.includes('$')
    this.#isSteady = this.isPlain && text.length <= longestText && text.isWellFormed() && !mayHoldMoment(text)
  }

  /** What it may do to transactions; looked at when somebody asks. */
  get effects(): TextEffects {
    this.#effects ??= textEffects(this.text)
    return this.#effects
  }

  /** Whether it is worth a statement on the server: a text that never comes again is not. */
  get isWorthPreparing(): boolean {
    return this.uses > 1 && this.#isSteady
  }

  /** Its name on the server, with the settings of the session itself. */
  get name(): string {
    this.#name ??= nameOf(this.text)
    return this.#name
  }
  get nameBytes(): Buffer {
    this.#nameBytes ??= zeroEnded(this.name)
    return this.#nameBytes
  }
}

/** Counts the changes of a database that were made over connections to it; shared by the pools to all of its servers. */
export interface SchemaEpoch {
  epoch: number
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
  /** Of the database: goes up when it was changed over any connection, so that what was prepared is prepared anew. */
  readonly schema: SchemaEpoch

  constructor(cacheSize: number, schema: SchemaEpoch = { epoch: 0 }) {
    this.cacheSize = cacheSize
    this.schema = schema
    this.#most = Math.max(1_000, cacheSize * 2)
  }

  /** How many texts it remembers. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** What is known of this text; counts as a use of it. */
  of(text: string): StatementText {
    const known = this.look(text)
    known.uses += 1
    return known
  }

  /** The same, without being a use of it. */
  look(text: string): StatementText {
    let known = this.#young.get(text)
    if (known === undefined) {
      known = this.#old.get(text) ?? new StatementText(text)
      this.#add(known)
    }
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
