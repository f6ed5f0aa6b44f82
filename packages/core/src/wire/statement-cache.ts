import type { Clock } from '../base/clock.js'
import { zeroEnded } from './outbox.js'
import type { WireConnection } from './pg-internals.js'
import type { RowShape } from './row-shape.js'
import type { StatementText, StatementTexts } from './statement-texts.js'

/** A statement that the server has, or will have once it has read what was sent. */
export class PreparedStatement {
  readonly name: string
  readonly nameBytes: Buffer
  readonly text: string
  /** Named by the caller: never evicted. */
  readonly isNamedByCaller: boolean
  /** Its columns, once the server has told them. While it is valid they do not change: else it fails with 0A000. */
  shape: RowShape | undefined
  /** Whether the message that prepares it has been put on its way. */
  isSent = false
  lastUse = 0
  /** When it was prepared, and in which epoch of the schema. */
  since = 0
  epoch = 0
  /** Whether an older form of this name is to be closed ahead of it. */
  isRenewal = false

  constructor(name: string, nameBytes: Buffer, text: string, isNamedByCaller: boolean) {
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
  /** What is known of the texts: that of the pool, once the connection is part of one. */
  texts: StatementTexts
  readonly #wire: Pick<WireConnection, 'parsedStatements' | 'submittedNamedStatements'>
  readonly #automatic = new Map<string, PreparedStatement>()
  readonly #named = new Map<string, PreparedStatement>()
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
    return this.#automatic.size
  }

  /** The prepared form of a text, to be sent if it is not yet. Undefined where the text is not kept. */
  automatic(known: StatementText): PreparedStatement | undefined {
    const { cacheSize } = this.texts
    const epoch = this.texts.epoch + this.#renewals
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
      if (this.#automatic.size >= cacheSize) this.#evict()
    }
    const prepared = new PreparedStatement(known.name, known.nameBytes, known.text, false)
    prepared.isRenewal = found !== undefined
    prepared.since = now
    prepared.epoch = epoch
    prepared.lastUse = ++this.#uses
    this.#automatic.set(known.text, prepared)
    return prepared
  }

  /**
   * The same for a name that the caller gave.
   *
   * @throws Error when the name stands for another text on this connection
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
    if (found !== undefined) return found
    const prepared = new PreparedStatement(name, zeroEnded(name), taken ?? text, true)
    prepared.isSent = elsewhere !== undefined
    this.#named.set(name, prepared)
    return prepared
  }

  /** The server has parsed it. */
  parsed(prepared: PreparedStatement): void {
    if (prepared.isNamedByCaller) this.#wire.parsedStatements[prepared.name] = prepared.text
  }

  /** The server does not have it, or is told to drop it with the next message. */
  forget(prepared: PreparedStatement, isOnServer: boolean): void {
    const { name, text, isNamedByCaller } = prepared
    const map = isNamedByCaller ? this.#named : this.#automatic
    const key = isNamedByCaller ? name : text
    // It may have been forgotten and prepared anew since.
    if (map.get(key) !== prepared) return
    map.delete(key)
    if (isNamedByCaller) delete this.#wire.parsedStatements[name]
    // To close one that is not there is no error.
    if (isOnServer || prepared.isRenewal) this.#closing.push(name)
  }

  /** The server has dropped all of them: DISCARD ALL or DEALLOCATE ALL was run. */
  forgetAll(): void {
    for (const name of this.#named.keys()) delete this.#wire.parsedStatements[name]
    this.#named.clear()
    this.#automatic.clear()
    this.#closing = []
  }

  /** Everything of this session is prepared anew when it is needed: names may mean something else now. */
  renewAll(): void {
    this.#renewals += 1
  }

  /** What a statement has done, by the server's word for it, may have left what is prepared without its meaning. */
  done(tag: string): void {
    if (!mayMatter.test(tag)) return
    if (tag.startsWith('ALTER')) this.texts.epoch += 1
    else if (tag.startsWith('DROP')) this.renewAll()
    else if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.forgetAll()
  }

  /** Names to be closed ahead of the next message; each is told once. */
  takeClosing(): readonly string[] {
    if (this.#closing.length === 0) return none
    return this.#closing.splice(0)
  }

  #evict(): void {
    let oldest: PreparedStatement | undefined
    for (const one of this.#automatic.values()) {
      if (oldest === undefined || one.lastUse < oldest.lastUse) oldest = one
    }
    if (oldest !== undefined) this.forget(oldest, true)
  }
}

const mayMatter = /^(?:ALTER|DROP|DISCARD|DEALLOCATE)/
const none: readonly string[] = []
