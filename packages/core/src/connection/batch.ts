import { type SqlText, sqlText } from '../sql/sql-text.js'
import type { TextEffects } from '../sql/transaction-control.js'
import { BrokenRow } from './column-readers.js'
import { Exchange, type Messages } from './exchange.js'
import type { Prelude, Wire } from './operation.js'
import { type CommandCompleteMessage, type Field, prepared, ResultBase, type ResultInternals } from './pg-internals.js'
import { joinedTexts, type ReportedOutcome } from './reported.js'
import type { QueryResult } from './result.js'
import { miscounted, readerFor, type ShapeReader } from './row-reader.js'
import type { StatementConfig } from './statement.js'

/** As much is handed to the socket before what is there has gone out. */
const mostUnsentBytes = 65_536

/** A statement of a batch, ready to be sent. */
interface Item {
  readonly sql: SqlText
  /** As they are sent, from the time on that it is. */
  values: readonly unknown[]
  /** Whether the text is that of the statement before: parsed once, bound again. */
  readonly isAgain: boolean
  readonly result: ResultInternals
  /** What reads its rows: found with the first of them; null when `pg` does. */
  reader: ShapeReader | null | undefined
}

/**
 * Several statements on their way over a connection in one round trip: Parse, Bind, Describe and Execute of each, and
 * ONE Sync after all of them. Outside of a transaction they are one: when a statement fails, the server undoes those before
 * it, and skips those after it. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * The statements go out piece by piece, as the socket takes them, while the answers come in.
 */
export class BatchExchange extends Exchange<QueryResult[]> {
  readonly #items: readonly Item[]
  /** Statements that have been written. */
  #written = 0
  /** Statements that have been answered: the next answer is for this one. */
  #answered = 0
  /** The statement that failed; undefined while none has, and when it was a prelude that did. */
  failedAt: number | undefined

  constructor(configs: readonly StatementConfig[], preludes: readonly Prelude[]) {
    super(preludes)
    const items: Item[] = []
    for (const config of configs) items.push(itemOf(config, items.at(-1)))
    this.#items = items
  }

  override get reportedText(): string {
    return joinedTexts(this.texts)
  }

  override get batchSize(): number {
    return this.#items.length
  }

  /** The command that all of them are, and the rows of all together. */
  override get reportedOutcome(): ReportedOutcome {
    const commands = new Set(this.#items.map(({ result }) => result.command ?? undefined))
    const rowCount = this.#items.reduce((sum, { result }) => sum + (result.rowCount ?? 0), 0)
    return { command: commands.size === 1 ? [...commands][0] : undefined, rowCount }
  }

  override get outcome(): QueryResult[] {
    return this.#items.map(({ result }) => result as QueryResult)
  }

  protected override onAnswer(error: unknown): void {
    if (error !== undefined) for (const { result } of this.#items) result.rows.length = 0
  }

  override get texts(): readonly string[] {
    return this.#items.map(({ sql }) => sql.text)
  }

  override get effects(): TextEffects {
    const all = this.#items.map(({ sql }) => sql.effects)
    return {
      leavesOpen: all.some(({ leavesOpen }) => leavesOpen),
      endsTransaction: all.some(({ endsTransaction }) => endsTransaction),
      commitsByItself: all.some(({ commitsByItself }) => commitsByItself),
      chains: all.some(({ chains }) => chains),
    }
  }

  protected override get statement(): SqlText {
    return this.#items[this.#answered]?.sql ?? super.statement
  }

  /** @throws what a value throws that cannot be sent; nothing has been sent then */
  override write(wire: Wire): void {
    for (const item of this.#items) item.values = prepared(item.values)
    super.write(wire)
  }

  protected override begin(messages: Messages): void {
    for (const { result } of this.#items) result._types ??= messages.types
    this.#write(messages)
  }

  #write(messages: Messages): void {
    const { stream } = messages
    for (;;) {
      while (this.#written < this.#items.length && messages.unsentBytes < mostUnsentBytes) {
        const { sql, values, isAgain } = this.#items[this.#written] as Item
        if (!isAgain) messages.parse(sql.text)
        messages.bind(values)
        if (!isAgain) messages.describe()
        messages.execute()
        this.#written += 1
      }
      if (this.#written === this.#items.length) {
        messages.sync()
        return
      }
      messages.flush()
      // A socket that is gone takes nothing more: the connection reports that.
      if (!stream.writable) return
      if (stream.writableNeedDrain) break
    }
    stream.once('drain', () => {
      // What has not been written when a statement fails is never sent: the server would only skip it.
      if (this.isSynced) return
      try {
        this.#write(messages)
      } catch (error) {
        messages.breakOff(error)
      }
    })
  }

  override get isComplete(): boolean {
    return this.#answered === this.#items.length
  }

  protected override onRowDescription(fields: readonly Field[]): void {
    const item = this.#items[this.#answered]
    if (item !== undefined) this.#addFields(item, fields)
  }

  #addFields(item: Item, fields: readonly Field[]): void {
    try {
      item.result.addFields(fields)
    } catch (error) {
      // There is no parser to be had for a column.
      this.cannotRead(error, this.#answered)
    }
  }

  override readRow(bytes: Buffer, at: number, stop: number): boolean {
    if (!this.isTakingRows) return false
    const item = this.#current()
    if (item.reader === undefined) item.reader = this.#readerFor(item)
    // Its columns may have turned out not to be readable.
    if (item.reader === null || this.unreadable !== undefined) return false
    try {
      item.result.rows.push(item.reader.read(bytes, at, stop))
    } catch (error) {
      if (error instanceof BrokenRow) throw error
      this.cannotRead(error, this.#answered)
    }
    return true
  }

  /** That of the statement before, which may have the same columns and parsers. */
  #readerFor(item: Item): ShapeReader | null {
    const before = item.isAgain ? this.#items[this.#answered - 1]?.reader : undefined
    return readerFor(item.result, { reader: before ?? undefined }) ?? null
  }

  protected override onRow(columns: readonly (string | null)[]): void {
    const { result } = this.#current()
    if (this.unreadable !== undefined) return
    if (columns.length !== result.fields.length) throw miscounted()
    try {
      result.rows.push(result.parseRow(columns))
    } catch (error) {
      this.cannotRead(error, this.#answered)
    }
  }

  protected override onComplete(tag: CommandCompleteMessage | undefined): void {
    const { result } = this.#current()
    if (tag !== undefined) result.addCommandComplete(tag)
    this.#answered += 1
  }

  protected override onError(error: Error): void {
    if (!this.sent) return
    if (this.arePreludesDone) this.failedAt ??= this.#answered
    this.failure = error
  }

  /** What the server answers now. */
  #current(): Item {
    const item = this.#items[this.#answered]
    if (item === undefined) throw new Error('bug: an answer to no statement of the batch')
    const before = this.#items[this.#answered - 1]
    // Not described again: its columns are those of the statement before, which has the same text.
    if (item.isAgain && before !== undefined && item.result.fields.length < before.result.fields.length) {
      this.#addFields(item, before.result.fields)
    }
    return item
  }
}

function itemOf({ text, values, rowMode, types }: StatementConfig, before: Item | undefined): Item {
  const isAgain = before?.sql.text === text
  return {
    sql: isAgain ? before.sql : sqlText(text),
    values: values ?? [],
    isAgain,
    result: new ResultBase(rowMode, types),
    reader: undefined,
  }
}
