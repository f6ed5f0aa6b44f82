import { createHash } from 'node:crypto'
import type { Clock } from '../deadline/clock.js'
import { type Effect, effectOf, effectOfFailed, stronger } from '../sql/prepared-statements.js'
import { assertName } from '../sql/quote.js'
import { RecentTexts, type SqlText, sqlText } from '../sql/sql-text.js'
import { zeroEnded } from './message-writer.js'
import type { WireConnection } from './pg-internals.js'
import type { RowShape } from './result.js'

/**
 * The name of a statement on the server: made of its SQL text, so that the same name never means two of them, not even when a
 * pooler in between lends one session to several processes.
 *
 * @param state what else decides what it means: role and settings of a transaction; '' for those of the session
 */
export function nameOf(text: string, state = ''): string {
  const hash = createHash('sha256')
  if (state !== '') hash.update(state).update('\0')
  return `lg_${hash.update(text).digest('base64url').slice(0, 20)}`
}

/** What a pool knows of an SQL text that it has run, whichever connection ran it. */
export class StatementText {
  readonly text: string
  /** What every pool knows of it. */
  readonly sql: SqlText
  /** How often it was asked for. */
  uses = 0
  /** From 0 for fast to 1 for slow; undefined before it has run. Used by whoever decides what may wait after it. */
  slowness: number | undefined
  #name: string | undefined
  #nameBytes: Buffer | undefined

  constructor(sql: SqlText) {
    this.text = sql.text
    this.sql = sql
  }

  /** Whether it is worth a statement on the server: one whose SQL text never comes again is not. */
  get isWorthPreparing(): boolean {
    return this.uses > 1 && this.sql.isSteady
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

/** The SQL texts that a pool runs, as far as it remembers them. */
export class StatementTexts extends RecentTexts<StatementText> {
  /** Statements that each connection may keep prepared; 0 keeps none. Set to 0 when the way there does not carry them. */
  cacheSize: number
  /** Of the database: goes up when it was changed over any connection, so that what was prepared is prepared anew. */
  readonly schema: SchemaEpoch

  constructor(cacheSize: number, schema: SchemaEpoch = { epoch: 0 }) {
    super((text) => new StatementText(sqlText(text)), Math.max(1_000, cacheSize * 2))
    this.cacheSize = cacheSize
    this.schema = schema
  }

  /** What is known of this text; counts as a use of it. */
  override of(text: string): StatementText {
    const known = super.of(text)
    known.uses += 1
    return known
  }
}

/** A statement that the server has, or will have once it has read what was sent. */
export class PreparedStatement {
  readonly name: string
  readonly nameBytes: Buffer
  readonly text: string
  /** Named by the caller: never evicted. */
  readonly isNamedByCaller: boolean
  /** Its columns, once the server has described them. While it is valid they do not change: else it fails with 0A000. */
  shape: RowShape | undefined
  /** Whether the message that prepares it has been put on its way. */
  isSent = false
  /** Whether the server has said that it has it. */
  isParsed = false
  lastUse = 0
  /** When it was prepared, and in which epoch of the schema. */
  since = 0
  epoch = 0
  /** Whether an older form of this name is to be closed ahead of it. */
  isRenewal = false
  /** For which state of the session it holds. */
  readonly state: string

  constructor(name: string, nameBytes: Buffer, text: string, isNamedByCaller: boolean, state = '') {
    this.state = state
    this.name = name
    this.nameBytes = nameBytes
    this.text = text
    this.isNamedByCaller = isNamedByCaller
  }
}

/**
 * How long a statement is kept before it is prepared anew, in milliseconds. The server finds out the types of parameters
 * once, and does not look again when a column gets another type: a value may lose digits on its way, without an error.
 */
const longestMs = 60_000

/**
 * What one session has prepared. The statement used the longest time ago makes room for a new one; it is closed on the
 * server with the next message, at no round trip.
 */
export class StatementCache {
  /** What is known of SQL texts: that of the pool, once the connection is part of one. */
  texts: StatementTexts
  readonly #wire: Pick<WireConnection, 'parsedStatements' | 'submittedNamedStatements'>
  /**
   * By the state that they were prepared in, then by their texts. The state is what differs from the session as it was
   * opened, and is known to come back: role and settings of a transaction, and what the server reports of its own accord.
   */
  readonly #states = new Map<string, Map<string, PreparedStatement>>()
  #state = ''
  #automatic: Map<string, PreparedStatement> = new Map()
  /** How many there are, over all states. */
  #size = 0
  /** Role and settings of the transaction that is open; '' for those of the session. */
  #settings = ''
  /** What the server reported, at first and now. */
  readonly #atFirst = new Map<string, string>()
  readonly #differing = new Map<string, string>()
  /** What the open transaction, or the statement that is being answered, has done to the meaning of statements. */
  #pending: Effect = 'none'
  /** A cursor was declared whose rows may change a setting as they are read. */
  #hasCursorThatSets = false
  /** The SQL text of what runs through `pg` itself. */
  submittableText: SqlText | undefined
  readonly #named = new Map<string, PreparedStatement>()
  /** Of the text that is being answered: the names that it frees and has not freed yet. */
  #freeing: string[] | undefined
  #closing: string[] = []
  #uses = 0
  #renewals = 0
  readonly #clock: Pick<Clock, 'now'>

  constructor(
    texts: StatementTexts,
    wire: Pick<WireConnection, 'parsedStatements' | 'submittedNamedStatements'>,
    clock: Pick<Clock, 'now'>,
  ) {
    this.texts = texts
    this.#wire = wire
    this.#clock = clock
  }

  /** How many statements it keeps of its own accord. */
  get size(): number {
    return this.#size
  }

  /** The prepared form of an SQL text, to be sent if it is not yet. Undefined where it is not kept. */
  automatic(known: StatementText): PreparedStatement | undefined {
    const { cacheSize } = this.texts
    const epoch = this.texts.schema.epoch + this.#renewals
    const found = this.#automatic.get(known.text)
    const now = this.#clock.now()
    if (found !== undefined) {
      if (cacheSize === 0) return undefined
      if (found.epoch === epoch && now - found.since < longestMs) {
        found.lastUse = ++this.#uses
        return found
      }
    } else {
      if (cacheSize === 0 || !known.isWorthPreparing) return undefined
      if (this.#size >= cacheSize) this.#evict()
      if (this.#automatic.size === 0) this.#states.set(this.#state, this.#automatic)
      this.#size += 1
    }
    const prepared = this.#prepare(known)
    prepared.isRenewal = found !== undefined
    prepared.since = now
    prepared.epoch = epoch
    prepared.lastUse = ++this.#uses
    this.#automatic.set(known.text, prepared)
    return prepared
  }

  #prepare(known: StatementText): PreparedStatement {
    const { text } = known
    const state = this.#state
    if (state === '') return new PreparedStatement(known.name, known.nameBytes, text, false)
    const name = nameOf(text, state)
    return new PreparedStatement(name, zeroEnded(name), text, false, state)
  }

  /**
   * The same for a name that the caller gave.
   *
   * @throws Error when the name stands for another text on this connection; InvalidArgumentError for one that the server would
   * cut off, or that would end early
   */
  named(name: string, text: string): PreparedStatement {
    // What others have prepared through `pg` itself on this connection counts as well.
    const elsewhere = this.#wire.parsedStatements[name] ?? this.#wire.submittedNamedStatements[name]
    const found = this.#named.get(name)
    const taken = found?.text ?? elsewhere
    // The name alone is enough for what has been prepared, as for `pg`.
    if (taken !== undefined && text !== '' && taken !== text) {
      throw new Error(`Prepared statements must be unique - '${name}' was used for a different statement`)
    }
    if (found !== undefined) {
      // Programs that free it themselves strike it from the list of `pg`.
      if (found.isParsed && elsewhere === undefined) renew(found)
      return found
    }
    assertName('the name of the statement', name)
    const prepared = new PreparedStatement(name, zeroEnded(name), taken ?? text, true)
    prepared.isSent = elsewhere !== undefined
    if (taken === undefined && text === '') {
      // Nothing to prepare: the server has it from somebody's PREPARE, or says that it does not exist.
      prepared.isSent = true
      return prepared
    }
    this.#named.set(name, prepared)
    return prepared
  }

  /** The server has parsed it. */
  parsed(prepared: PreparedStatement): void {
    if (!prepared.isNamedByCaller) return
    prepared.isParsed = true
    this.#wire.parsedStatements[prepared.name] = prepared.text
  }

  /** The server does not have it, or drops it with the next message. */
  forget(prepared: PreparedStatement, isOnServer: boolean): void {
    const { name, text, isNamedByCaller, state } = prepared
    const map = isNamedByCaller ? this.#named : this.#states.get(state)
    const key = isNamedByCaller ? name : text
    // It may have been forgotten and prepared anew since.
    if (map?.get(key) !== prepared) return
    map.delete(key)
    if (!isNamedByCaller) {
      this.#size -= 1
      if (map.size === 0) this.#states.delete(state)
    }
    if (isNamedByCaller) delete this.#wire.parsedStatements[name]
    // To close one that is not there is no error.
    if (isOnServer || prepared.isRenewal) this.#closing.push(name)
  }

  /** The server has dropped all of them, those of others too: DISCARD ALL or DEALLOCATE ALL was run. */
  forgetAll(): void {
    const { parsedStatements, submittedNamedStatements } = this.#wire
    for (const name of Object.keys(parsedStatements)) delete parsedStatements[name]
    for (const name of Object.keys(submittedNamedStatements)) delete submittedNamedStatements[name]
    this.#named.clear()
    this.#states.clear()
    this.#automatic = new Map()
    this.#size = 0
    this.#closing = []
  }

  /** The server has dropped this one, whoever had prepared it. */
  #freed(name: string): void {
    const { parsedStatements, submittedNamedStatements } = this.#wire
    delete parsedStatements[name]
    delete submittedNamedStatements[name]
    this.#named.delete(name)
    for (const state of [...this.#states.values()]) {
      for (const one of [...state.values()]) if (one.name === name) this.forget(one, false)
    }
  }

  /** The server may have dropped any of them: what others have named is prepared anew as well. To close one that is not there is no error. */
  #mayHaveFreed(): void {
    const { parsedStatements, submittedNamedStatements } = this.#wire
    const names = new Set([...Object.keys(parsedStatements), ...Object.keys(submittedNamedStatements)])
    for (const name of names) {
      delete parsedStatements[name]
      delete submittedNamedStatements[name]
      this.#closing.push(name)
    }
    for (const one of this.#named.values()) renew(one)
    this.renewAll()
  }

  /** One DEALLOCATE of an SQL text is done; there may be more in it. */
  #deallocated(sql: SqlText | undefined): void {
    this.#freeing ??= [...(sql?.deallocatedNames ?? [])]
    const name = this.#freeing.shift()
    if (name === undefined) this.#mayHaveFreed()
    else this.#freed(name)
  }

  /** Everything of this session is prepared anew when it is needed: names may mean something else now. */
  renewAll(): void {
    this.#renewals += 1
  }

  /** A transaction with this role and these settings begins with what is written next. */
  enter(settings: string): void {
    this.#settings = settings
    this.#changeState()
  }

  /** The server reports a setting: at the beginning, and whenever its value has changed. */
  reported(name: string, value: string): void {
    if (!reportedMatter.has(name)) return
    const first = this.#atFirst.get(name)
    if (first === undefined) this.#atFirst.set(name, value)
    else if (first === value) this.#differing.delete(name)
    else this.#differing.set(name, value)
    this.#changeState()
  }

  #changeState(): void {
    const differing = this.#differing.size === 0 ? '' : JSON.stringify([...this.#differing].sort())
    const state = this.#settings === '' && differing === '' ? '' : `${this.#settings}\0${differing}`
    if (state === this.#state) return
    this.#state = state
    this.#automatic = this.#states.get(state) ?? new Map()
  }

  /**
   * What a statement has done, by the server's word for it, may have left what is prepared without its meaning.
   *
   * @param sql the text of the statement; undefined where it is not known; see `Operation.answering`
   */
  done(tag: string, sql: SqlText | undefined): void {
    if (sql?.text === '') {
      if (tag === 'ROLLBACK' && this.#pending !== 'none') this.renewAll()
      return
    }
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.forgetAll()
    else if (tag === 'DEALLOCATE') this.#deallocated(sql)
    // Code of the database may have done so, too.
    else if (tag === 'DO' || tag === 'CALL') this.#mayHaveFreed()
    // ROLLBACK is the word for ROLLBACK TO SAVEPOINT too, and either may begin the next transaction at once.
    else if (tag === 'ROLLBACK' || tag === 'COMMIT') {
      if (sql?.effects.chains === true) this.#ended()
      else if (this.#pending !== 'none') this.renewAll()
    }
    const meaning = sql?.meaning
    if (tag.startsWith('DECLARE') && meaning?.configures !== 'none') this.#hasCursorThatSets = true
    else if (this.#hasCursorThatSets && readsCursors.test(tag)) this.#note('session')
    this.#note(effectOf(tag, meaning))
  }

  /** A statement has failed: some can have done a part of their work for good. */
  failed(sql: SqlText | undefined): void {
    this.#note(sql === undefined ? 'session' : effectOfFailed(sql.meaning))
  }

  /** An answer is complete. */
  ready(isInTransaction: boolean): void {
    this.#freeing = undefined
    if (isInTransaction || (this.#pending === 'none' && this.#settings === '')) return
    this.#ended()
  }

  /** The session has ended, and these were under way: what became of them is not known. */
  lost(texts: readonly string[]): void {
    if (this.#pending === 'pool' || !texts.every((text) => sqlText(text).isAboutRows)) this.texts.schema.epoch += 1
  }

  #note(effect: Effect): void {
    if (effect === 'none') return
    this.renewAll()
    this.#pending = stronger(this.#pending, effect)
  }

  /** Of a transaction: settings go back to what they were, and only now others see what it has made. */
  #ended(): void {
    if (this.#pending !== 'none') this.renewAll()
    if (this.#pending === 'pool') this.texts.schema.epoch += 1
    this.#pending = 'none'
    this.#settings = ''
    this.#changeState()
  }

  /** Names to be closed ahead of the next message; each is given once. */
  takeClosing(): readonly string[] {
    if (this.#closing.length === 0) return none
    return this.#closing.splice(0)
  }

  #evict(): void {
    let oldest: PreparedStatement | undefined
    for (const state of this.#states.values()) {
      for (const one of state.values()) if (oldest === undefined || one.lastUse < oldest.lastUse) oldest = one
    }
    if (oldest !== undefined) this.forget(oldest, true)
  }
}

/** It is closed, should it be there, and prepared with its next use. */
function renew(prepared: PreparedStatement): void {
  prepared.isRenewal = true
  prepared.isSent = false
  prepared.isParsed = false
  prepared.shape = undefined
}

/** Settings that the server reports, and that decide what an SQL text means. PostgreSQL reports search_path since 18. */
const reportedMatter: ReadonlySet<string> = new Set([
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'search_path',
  'session_authorization',
  'standard_conforming_strings',
])
/** COMMIT reads what is left of a cursor WITH HOLD. */
const readsCursors = /^(?:FETCH|MOVE|COMMIT)\b/
const none: readonly string[] = []
