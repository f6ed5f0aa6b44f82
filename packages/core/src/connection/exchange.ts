import type { Duplex } from 'node:stream'
import { thrownError } from '../errors/lifeguard-error.js'
import type { SqlText } from '../sql/sql-text.js'
import { nothingToNote, Operation, refuseCopy, type Wire } from './operation.js'
import type { CommandCompleteMessage, Field, RowDescriptionMessage, TypeParsers } from './pg-internals.js'
import type { QueryResult } from './result.js'
import { type AheadConfig, type Prelude, Statement, type StatementConfig } from './statement.js'

/**
 * Something that talks to the server in a way of its own, in place of one statement: a batch, a COPY. It needs a
 * connection for itself, and it brings what goes ahead of it (BEGIN, SAVEPOINT) in its own first trip.
 */
export interface ExchangeConfig extends StatementConfig {
  /** Makes the exchange; called once for each connection that it is tried on. */
  readonly exchange: (preludes: readonly Prelude[]) => Exchange<unknown>
}

/** What runs on a connection for this configuration. */
export function statementFrom(
  config: StatementConfig | ExchangeConfig,
  preludes: readonly Prelude[],
): Statement | Exchange<unknown> {
  if ('exchange' in config) return config.exchange(preludes)
  const statement = new Statement(config, preludes)
  if ('label' in config) statement.label = (config as AheadConfig).label
  return statement
}

/** An exchange answers with an object of its own in the place of one result. */
export function outcomeOf<T>(result: QueryResult): T {
  return result as unknown as T
}

/** The messages that an exchange can send. What is written together goes out together, with `flush`. */
export interface Messages {
  readonly stream: Duplex
  /** Bytes that have been written and have not left this process. */
  readonly unsentBytes: number
  /** Reads the clock of the connection. */
  readonly now: () => number
  /** Parsers of values, as the pool has them. */
  readonly types: TypeParsers
  parse(text: string): void
  /** @param values as `prepared` makes them */
  bind(values: readonly unknown[]): void
  describe(): void
  execute(): void
  copyDone(): void
  copyFail(why: string): void
  /** Ends the exchange: sent once, whatever calls for it, as each one is answered by a ReadyForQuery of its own. */
  sync(): void
  flush(): void
  /** For what cannot be sent to its end: the caller gets this error, and the session ends, so that nothing is done. */
  breakOff(error: unknown): void
}

/**
 * One exchange of messages, up to the ReadyForQuery that ends it: what goes ahead, then its own.
 *
 * All of it is one unit for the server, which skips everything up to the Sync once something has failed.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export abstract class Exchange<Outcome> extends Operation {
  readonly #preludes: readonly Prelude[]
  /** Preludes whose CommandComplete has not come yet. */
  #ahead: number
  #messages: Messages | undefined
  #isSynced = false
  #isComplete = false
  resolve: (result: QueryResult) => void = nothing
  reject: (error: unknown) => void = nothing

  constructor(preludes: readonly Prelude[]) {
    super()
    this.isReported = true
    this.#preludes = preludes
    this.#ahead = preludes.length
  }

  /** What comes of it, once it has succeeded. */
  abstract get outcome(): Outcome
  /** Writes its own messages, or the first of them. */
  protected abstract begin(messages: Messages): void

  protected onRowDescription(_fields: readonly Field[]): void {
    // Of no interest here.
  }
  protected onRow(_columns: readonly (string | null)[]): void {
    // Of no interest here.
  }
  /** @param tag as the server words it: `INSERT 0 1`; undefined for an empty statement */
  protected onComplete(_tag: CommandCompleteMessage | undefined): void {
    // Of no interest here.
  }
  /** The server wants data for COPY FROM STDIN. Returns false when there is none: then that is refused. */
  protected onCopyIn(_messages: Messages): boolean {
    return false
  }
  protected onCopyData(_chunk: Buffer): void {
    // Of no interest here.
  }
  /** The server said that it failed; or, with `sent` false, the connection that it never was. */
  protected onError(_error: Error): void {
    // Of no interest here.
  }
  /** Its caller has given up; the server is asked to cancel. */
  protected onInterrupt(): void {
    // Of no interest here.
  }

  /** Whether all that goes ahead has been done. */
  protected get hasBegun(): boolean {
    return this.#ahead === 0
  }
  /** Whether nothing may be written any more. */
  protected get isSynced(): boolean {
    return this.#isSynced
  }

  override get answering(): SqlText {
    return this.#ahead > 0 ? nothingToNote : this.statement
  }
  /** The statement that is being answered, behind what goes ahead. */
  protected get statement(): SqlText {
    return nothingToNote
  }

  override get result(): QueryResult {
    return this.outcome as unknown as QueryResult
  }

  override answer(error: unknown): void {
    if (error === undefined) this.resolve(this.result)
    else this.reject(error)
  }

  override write(wire: Wire): void {
    const { writer } = wire
    const messages = this.#messagesTo(wire)
    this.#messages = messages
    for (const { text, values, meaning } of this.#preludes) {
      if (meaning !== undefined) wire.cache.enter(meaning)
      writer.parse('', text)
      writer.bind('', undefined, values)
      writer.execute('', 0)
    }
    this.begin(messages)
  }

  override get isComplete(): boolean {
    return this.#isComplete
  }

  override unwritten(): void {
    this.onError(new Error('it was not sent'))
  }

  /** What it takes from its source, or gives to its sink, is gone. */
  override get mayRunAgain(): boolean {
    return false
  }

  override handleRowDescription({ fields }: RowDescriptionMessage): void {
    if (this.#ahead === 0) this.onRowDescription(fields)
  }

  override handleDataRow(fields: readonly (string | null)[]): void {
    if (this.#ahead > 0) this.#preludes.at(-this.#ahead)?.onRow?.(fields)
    else this.onRow(fields)
  }

  override handleCommandComplete(message: CommandCompleteMessage): void {
    if (this.#ahead > 0) {
      this.#preludes.at(-this.#ahead)?.onComplete?.(message.text)
      this.#ahead -= 1
    } else {
      this.#isComplete = true
      this.onComplete(message)
    }
  }

  override handleEmptyQuery(): void {
    if (this.#ahead > 0) this.#ahead -= 1
    else {
      this.#isComplete = true
      this.onComplete(undefined)
    }
  }

  override handleCopyInResponse(wire: Wire): void {
    // A Sync that was sent before is not heard in the midst of a COPY.
    if (this.#messages === undefined || !this.onCopyIn(this.#messages)) refuseCopy(wire, this.#isSynced)
  }

  override handleCopyData(chunk: Buffer): void {
    this.onCopyData(chunk)
  }

  override handleError(error: Error): void {
    this.onError(error)
    this.failure ??= error
    this.#messages?.sync()
  }

  override interrupt(): void {
    this.onInterrupt()
  }

  #messagesTo({ writer, protocol, types, now, tearDown }: Wire): Messages {
    const { stream } = protocol
    return {
      stream,
      types,
      now,
      get unsentBytes() {
        return stream.writableLength + writer.length
      },
      parse: (text) => writer.parse('', text),
      bind: (values) => writer.bind('', undefined, values),
      describe: () => writer.describePortal(''),
      execute: () => writer.execute('', 0),
      copyDone: () => {
        // Written by `pg`, past the writer: what it holds goes first.
        writer.write()
        protocol.endCopyFrom()
      },
      copyFail: (why) => {
        writer.write()
        protocol.sendCopyFail(why)
      },
      sync: () => {
        if (this.#isSynced) return
        this.#isSynced = true
        writer.sync()
        writer.post()
      },
      flush: () => writer.write(),
      breakOff: (error) => {
        this.failure ??= thrownError(error)
        tearDown()
      },
    }
  }
}

const nothing = (): void => undefined

/** The count at the end of a command tag; 0 where it has none. */
export function countOf({ text }: CommandCompleteMessage): number {
  return Number(/ (\d+)$/.exec(text)?.[1] ?? 0)
}
