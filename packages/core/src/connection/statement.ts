import { ProtocolViolationError } from '../errors/operation-errors.js'
import { isNameTaken, isStalePlan, mayBeStaleTypes } from '../errors/origin.js'
import type { SqlText } from '../sql/sql-text.js'
import type { TextEffects } from '../sql/transaction-control.js'
import { BrokenRow } from './column-readers.js'
import { nothingToNote, Operation, type Prelude, refuseCopy, type Wire } from './operation.js'
import {
  type CommandCompleteMessage,
  type Field,
  ResultBase,
  type ResultInternals,
  type TypeParsers,
} from './pg-internals.js'
import { type FetchedStatement, PartedRows, type PortalRequest } from './portal.js'
import { applyShape, noColumns, type QueryResult, type RowShape, shapeOf } from './result.js'
import { miscounted, readerFor, type ShapeReader } from './row-reader.js'
import type { PreparedStatement, StatementText } from './statement-cache.js'

/** What a CommandComplete says. */
export interface CommandTag {
  readonly command: string | null
  readonly oid: number | null
  readonly rowCount: number | null
}

/** The same as `pg` reads: `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`. */
const form = /^([A-Za-z]+)(?: (\d+))?(?: (\d+))?/

let lastText = ''
let lastTag: CommandTag = { command: null, oid: null, rowCount: null }

/** Reads a tag. The last one is remembered: most statements of a busy program end with the same. */
export function tagOf(text: string): CommandTag {
  if (text === lastText) return lastTag
  const match = form.exec(text)
  const [, command = null, first, second] = match ?? []
  lastTag = {
    command,
    oid: second === undefined ? null : Number(first),
    rowCount: second === undefined ? (first === undefined ? null : Number(first)) : Number(second),
  }
  lastText = text
  return lastTag
}

/** A statement and its parameters, in the form that `pg` takes it too. */
export interface StatementConfig {
  /** SQL with `$1`, `$2`, ... where values go. Several statements separated by `;` are possible without values only. */
  readonly text: string
  /** One for each placeholder. Values never become part of the SQL text. */
  readonly values?: readonly unknown[] | undefined
  /** Prepares the statement under this name on each connection that runs it, and reuses it there. At most 63 bytes. */
  readonly name?: string | undefined
  /** `'array'` gives rows as arrays of values in the order of the columns. */
  readonly rowMode?: 'array' | undefined
  /** Parsers for this statement in place of the pool's. */
  readonly types?: TypeParsers | undefined
}

/**
 * One statement on its way over a connection, after its preludes.
 *
 * The preludes and the statement are Parse/Bind/Execute each, with ONE Sync after all of them: when a prelude fails, the
 * server skips the rest up to the Sync, so that a statement never runs outside of the transaction it was meant for.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * A text that comes again is prepared: then Parse is left out, and so is Describe once its columns are known.
 */
export class Statement extends Operation {
  readonly #values: readonly unknown[] | undefined
  readonly #name: string | undefined
  readonly #rowMode: 'array' | undefined
  readonly #types: TypeParsers | undefined
  readonly #portal: PortalRequest | undefined
  /** There where its rows are taken in parts. */
  #parts: PartedRows | undefined
  /** What the pool knows of the text; looked up when it is sent, unless it was before. */
  known: StatementText | undefined
  #prepared: PreparedStatement | undefined
  /** Whether its Parse was sent with it, and Parse and Bind have been answered. */
  #bringsParse = false
  #isParsed = false
  #isBound = false
  /** Whether it failed over a value that its kept form may have had another type for. */
  #mayBeStale = false
  /** Whether it was sent without Parse and Bind, so that no Sync ends it. */
  #isSimpleQuery = false
  #result: ResultInternals | undefined
  /** All of them, once there are several. */
  #results: ResultInternals[] | undefined
  /** Counted when there is a second one: a server that goes on and on would fill the memory with them. */
  #mostResults: number | undefined
  #parsers: TypeParsers | undefined
  /** What reads the rows of the result that comes in: found with the first of them; null when `pg` does. */
  #reader: ShapeReader | null | undefined

  /** @param portal where its rows are fetched piece by piece: which of them are fetched now */
  constructor(config: StatementConfig, preludes?: readonly Prelude[], portal?: PortalRequest) {
    super(config.text, preludes)
    this.#values = config.values
    this.#name = config.name
    this.#rowMode = config.rowMode
    this.#types = config.types
    this.#portal = portal
    if (portal !== undefined) this.isReported = false
  }

  override get name(): string | undefined {
    return this.#name
  }

  override get whole(): FetchedStatement | undefined {
    return this.#portal?.whole
  }

  override get effects(): TextEffects {
    return this.known?.sql.effects ?? super.effects
  }

  protected override get statement(): SqlText {
    const sql = this.known?.sql ?? super.statement
    return sql.isAboutRows ? nothingToNote : sql
  }

  /** The result; as in `pg` an array of them when the text held several statements. */
  override get result(): QueryResult {
    return (this.#results ?? this.#result) as unknown as QueryResult
  }

  protected override onAnswer(error: unknown): void {
    if (this.#portal !== undefined) this.#portal.isOpen = this.isComplete && this.failure === undefined
    this.#parts?.end()
    if (error === undefined) return
    if (this.#result !== undefined) this.#result.rows.length = 0
    if (this.#results !== undefined) for (const { rows } of this.#results) rows.length = 0
  }

  protected override writeOwn(wire: Wire): void {
    const { writer, cache, types } = wire
    const values = this.#values
    if (!(values === undefined || values === null || Array.isArray(values)))
      throw new Error('Query values must be an array')
    this.#parsers = this.#types ?? types
    this.#result = new ResultBase(this.#rowMode, this.#parsers)
    this.known ??= cache.texts.of(this.text)
    this.#isSimpleQuery = this.#isSimple()
    if (this.#isSimpleQuery) {
      writer.query(this.text)
      return
    }
    if (this.#portal !== undefined && this.#portal.rows > 0) this.#fetch(wire, this.#portal)
    else this.#execute(wire)
    writer.sync()
  }

  override unwritten({ cache }: Wire): void {
    if (this.#bringsParse && this.#prepared !== undefined) cache.forget(this.#prepared, false)
  }

  /** The protocol without parameters, which alone takes several statements, is used where nothing speaks for the other. */
  #isSimple(): boolean {
    if (this.hasPreludes || this.#portal !== undefined || this.#name) return false
    if (this.#values !== undefined && this.#values !== null && this.#values.length > 0) return false
    return this.known?.sql.isAboutRows !== true || this.known.sql.mayTakeValues
  }

  #execute({ writer, cache, types }: Wire): void {
    const values = this.#values ?? undefined
    const prepared = this.#name ? cache.named(this.#name, this.text) : this.#automatic(cache)
    this.#prepared = prepared
    if (prepared === undefined) {
      writer.parse('', this.text)
      writer.bind('', undefined, values)
      writer.describePortal('')
    } else {
      const isNew = !prepared.isSent
      const { shape } = prepared
      try {
        if (shape !== undefined) this.#readAs(shape, this.#types ?? types)
        if (isNew && prepared.isRenewal) writer.closeStatement(prepared.name)
        if (isNew) writer.parse(prepared.name, prepared.text)
        writer.bind('', prepared.nameBytes, values, this.#reader?.formats)
      } catch (error) {
        // Nothing of it is sent, its Parse included.
        if (isNew) cache.forget(prepared, false)
        throw error
      }
      if (isNew) prepared.isSent = true
      this.#bringsParse = isNew
      if (shape === undefined) writer.describePortal('')
    }
    writer.execute('', 0)
  }

  /** Its columns are known: what will read them says in which form each is asked for. */
  #readAs(shape: RowShape, types: TypeParsers): void {
    const result = this.#result as ResultInternals
    applyShape(result, shape, types)
    if (shape.fields.length > 0) this.#reader = readerFor(result, shape, true)
  }

  /** At the second rerun, whatever is wrong with prepared statements here, it goes without. */
  #automatic(cache: Wire['cache']): PreparedStatement | undefined {
    return this.known === undefined || this.reruns > 1 ? undefined : cache.automatic(this.known)
  }

  override ranMs(now: number): number {
    return super.ranMs(now) - (this.#parts?.waitedMs(now) ?? 0)
  }

  override interrupt(): void {
    this.#parts?.end()
  }

  #fetch({ writer, protocol, now }: Wire, portal: PortalRequest): void {
    const { name, rows, fields, taker } = portal
    if (taker !== undefined) this.#parts = new PartedRows(portal, protocol.stream, now)
    if (fields === undefined) {
      writer.parse('', this.text)
      writer.bind(name, undefined, this.#values ?? undefined)
      writer.describePortal(name)
    } else {
      try {
        this.#result?.addFields(fields)
      } catch (error) {
        this.cannotRead(error)
      }
    }
    writer.execute(name, rows)
  }

  override get isStale(): boolean {
    const prepared = this.#prepared
    if (prepared === undefined || this.#isBound) return false
    return isStalePlan(this.failure) || (!prepared.isNamedByCaller && isNameTaken(this.failure))
  }

  override get wasRolledBack(): boolean {
    const commands = this.#results?.map(({ command }) => command)
    return commands?.at(-1) === 'ROLLBACK' && !commands.includes('COMMIT') && !commands.includes('PREPARE')
  }

  /** Likewise, perhaps: to be found out by preparing it anew. Should it fail again, that is what the caller gets. */
  override get mayBeStale(): boolean {
    return this.#mayBeStale
  }

  override reset(): void {
    super.reset()
    this.#prepared = undefined
    this.#bringsParse = false
    this.#isParsed = false
    this.#isBound = false
    this.#mayBeStale = false
    this.#results = undefined
    this.#reader = undefined
  }

  protected override onParseComplete({ cache }: Wire): void {
    if (this.#prepared === undefined) return
    this.#isParsed = true
    cache.parsed(this.#prepared)
  }

  protected override onBindComplete(): void {
    this.#isBound = true
  }

  protected override onRowDescription(fields: readonly Field[]): void {
    this.#startResult()
    this.#reader = undefined
    const prepared = this.#prepared
    try {
      if (prepared === undefined) this.#result?.addFields(fields)
      else {
        prepared.shape = shapeOf(fields)
        applyShape(this.#result as ResultInternals, prepared.shape, this.#parsers as TypeParsers)
      }
    } catch (error) {
      // There is no parser to be had for a column.
      this.cannotRead(error)
    }
  }

  protected override onNoData(): void {
    if (this.#prepared !== undefined) this.#prepared.shape = noColumns
  }

  protected override onSuspended(): void {
    if (this.#portal !== undefined) this.#portal.hasMore = true
  }

  override readRow(bytes: Buffer, at: number, stop: number): boolean {
    if (!this.isTakingRows) return false
    const portal = this.#portal
    if (portal !== undefined && !isWanted(portal, stop - at)) return true
    const result = this.#result as ResultInternals
    if (this.#reader === undefined) {
      // To prepare for many rows costs more than to read a single one as `pg` does.
      if (result.rows.length === 0 && portal === undefined) return false
      this.#reader = readerFor(result, portal) ?? null
    }
    if (this.#reader === null) return false
    try {
      result.rows.push(this.#reader.read(bytes, at, stop))
    } catch (error) {
      if (error instanceof BrokenRow) throw error
      this.cannotRead(error)
    }
    if (this.#parts?.isFull === true) this.#handOver(result, this.#parts)
    return true
  }

  #handOver(result: ResultInternals, parts: PartedRows): void {
    parts.handOver(result.rows.splice(0), this.sentAt)
  }

  protected override onRow(columns: readonly (string | null)[]): void {
    const result = this.#result as ResultInternals
    if (columns.length !== result.fields.length) throw miscounted()
    try {
      result.rows.push(result.parseRow(columns))
    } catch (error) {
      this.cannotRead(error)
    }
  }

  protected override onComplete(message: CommandCompleteMessage | undefined): void {
    if (message === undefined) return
    this.#startResult()
    const result = this.#result as ResultInternals
    const tag = tagOf(message.text)
    result.command = tag.command
    result.oid = tag.oid
    result.rowCount = tag.rowCount
  }

  protected override onError(error: Error, { cache }: Wire): void {
    const prepared = this.#prepared
    if (prepared === undefined || this.#isBound) return
    // Its Parse failed, or was skipped with a failing prelude; or the statement is gone, or must be replaced.
    if (this.#bringsParse && !this.#isParsed) {
      cache.forget(prepared, false)
      // Only this text has that name, so somebody else has prepared it in this very session: a pooler shares it out.
      if (!prepared.isNamedByCaller && isNameTaken(error)) cache.texts.cacheSize = 0
      return
    }
    this.#mayBeStale = !this.#bringsParse && !prepared.isNamedByCaller && mayBeStaleTypes(error)
    if (this.#mayBeStale || isStalePlan(error)) cache.forget(prepared, true)
  }

  /**
   * COPY FROM STDIN has no source here. While it waits for data the server ignores Sync, so that the one that was sent
   * with the statement is lost, and with it the answer. A Query needs none.
   * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-COPY
   */
  override handleCopyInResponse(wire: Wire): void {
    refuseCopy(wire, !this.#isSimpleQuery)
  }

  /** A text of several statements gives several results. */
  #startResult(): void {
    const before = this.#result
    if (before === undefined || before.command === null) return
    this.#mostResults ??= this.#isSimpleQuery ? this.text.split(';').length : 1
    this.#results ??= [before]
    if (this.#results.length >= this.#mostResults) throw new ProtocolViolationError('more results than statements')
    this.#result = new ResultBase(this.#rowMode, this.#parsers as TypeParsers)
    this.#results.push(this.#result)
  }
}

function isWanted(portal: PortalRequest, bytes: number): boolean {
  if (portal.isDropped === true) return false
  portal.bytes += bytes
  if (bytes > portal.longest) portal.longest = bytes
  return true
}

/** A question that only an answer is wanted of: nobody's statement, which is neither reported nor counted. */
export function signOfLife(config: StatementConfig): Statement {
  const statement = new Statement(config)
  statement.isReported = false
  return statement
}
