import {
  type CommandCompleteMessage,
  type Field,
  prepareValue,
  ResultBase,
  type ResultInternals,
  type WireConnection,
} from './pg-internals.js'
import { type Prelude, type QueryResult, Statement, type StatementConfig } from './statement.js'

/** As much is handed to the socket before what is there has gone out. */
const mostUnsentBytes = 65_536

/** A statement of a batch, ready to be sent. */
interface Item {
  readonly text: string
  readonly values: readonly unknown[]
  /** Whether the text is that of the statement before: parsed once, bound again. */
  readonly isAgain: boolean
  readonly result: ResultInternals
}

/**
 * Several statements on their way over a connection in one round trip: Parse, Bind, Describe and Execute of each, and
 * ONE Sync behind them all. Outside of a transaction they are one: when a statement fails, the server undoes those before
 * it, and skips those behind it. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * The statements go out piece by piece, as the socket takes them, while the answers come in.
 */
export class BatchStatement extends Statement {
  readonly #preludes: readonly Prelude[]
  readonly #items: readonly Item[]
  /** Preludes whose CommandComplete has not come yet. */
  #ahead: number
  /** Statements that have been written. */
  #written = 0
  /** Statements that have been answered: the next answer is for this one. */
  #answered = 0
  #isSynced = false
  /** The statement that failed; undefined while none has, and when it was what goes ahead that did. */
  failedAt: number | undefined

  /** @throws what a value throws that cannot be sent; nothing has been sent then */
  constructor(configs: readonly StatementConfig[], preludes: readonly Prelude[]) {
    super({ text: '' })
    this.queryMode = 'extended'
    this.#preludes = preludes
    this.#ahead = preludes.length
    this.#items = configs.map((config, index) => itemOf(config, configs[index - 1]))
  }

  override get result(): QueryResult {
    return this.#items.map(({ result }) => result) as unknown as QueryResult
  }

  override prepare(connection: WireConnection): void {
    for (const { text, values } of this.#preludes) {
      connection.parse({ text })
      connection.bind({ values })
      connection.execute({})
    }
    // `pg` has given this statement the parsers of its client by now.
    for (const { result } of this.#items) result._types ??= this._result._types
    this.#write(connection)
  }

  #write(connection: WireConnection): void {
    const { stream } = connection
    while (this.#written < this.#items.length && stream.writableLength < mostUnsentBytes) {
      const { text, values, isAgain } = this.#items[this.#written] as Item
      if (!isAgain) connection.parse({ text })
      connection.bind({ values })
      if (!isAgain) connection.describe({ type: 'P', name: '' })
      connection.execute({})
      this.#written += 1
    }
    if (this.#written === this.#items.length) this.#sync(connection)
    else {
      stream.once('drain', () => {
        if (this.#isSynced) return
        stream.cork()
        this.#write(connection)
        stream.uncork()
      })
    }
  }

  #sync(connection: WireConnection): void {
    if (this.#isSynced) return
    this.#isSynced = true
    connection.sync()
  }

  override handleRowDescription(message: { readonly fields: readonly Field[] }): void {
    if (this.#ahead === 0) this.#items[this.#answered]?.result.addFields(message.fields)
  }

  override handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    if (this.#ahead > 0) {
      this.#preludes.at(-this.#ahead)?.onRow?.(message.fields)
      return
    }
    if (this.failure !== undefined) return
    try {
      const { result } = this.#current()
      result.rows.push(result.parseRow(message.fields))
    } catch (error) {
      // A type parser threw. The rest is read and dropped; the server has done, or goes on with, what it was told.
      this.failure = error as Error
    }
  }

  override handleCommandComplete(message: CommandCompleteMessage): void {
    if (this.#ahead > 0) {
      this.#ahead -= 1
      return
    }
    this.#current().result.addCommandComplete(message)
    this.#answered += 1
  }

  override handleEmptyQuery(): void {
    if (this.#ahead > 0) this.#ahead -= 1
    else this.#answered += 1
  }

  override handleError(error: Error, connection: WireConnection): void {
    if (!this.sent) {
      super.handleError(error, connection)
      return
    }
    if (this.#ahead === 0) this.failedAt ??= this.#answered
    // Over a type parser that threw: this one says that nothing took effect.
    this.failure = error
    // What has not been written is never sent: the server would only skip it.
    this.#sync(connection)
  }

  /** What the server answers now. */
  #current(): Item {
    const item = this.#items[this.#answered]
    if (item === undefined) throw new Error('bug: an answer to no statement of the batch')
    const before = this.#items[this.#answered - 1]
    // Not described again: its columns are those of the statement before, which has the same text.
    if (item.isAgain && before !== undefined && item.result.fields.length < before.result.fields.length) {
      item.result.addFields(before.result.fields)
    }
    return item
  }
}

function itemOf({ text, values, rowMode, types }: StatementConfig, before: StatementConfig | undefined): Item {
  return {
    text,
    values: values === undefined ? [] : values.map(prepareValue),
    isAgain: before?.text === text,
    result: new ResultBase(rowMode, types),
  }
}
