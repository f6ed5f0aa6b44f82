import type { Duplex } from 'node:stream'
import { thrownError } from '../errors/lifeguard-error.js'
import { Operation, type Prelude, refuseCopy, type Wire } from './operation.js'
import type { CommandCompleteMessage, TypeParsers } from './pg-internals.js'
import type { QueryResult } from './result.js'

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
 * Something that talks to the server in a way of its own, in place of one statement: a batch, a COPY. It needs a connection
 * for itself.
 *
 * All of it is one unit for the server, preludes included, which skips everything up to the Sync once something has failed.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export abstract class Exchange<Outcome> extends Operation {
  #messages: Messages | undefined
  #isSynced = false

  constructor(preludes: readonly Prelude[]) {
    super('', preludes)
    this.isReported = true
  }

  /** What comes of it, once it has succeeded. */
  abstract get outcome(): Outcome
  /** Writes its own messages, or the first of them. */
  protected abstract begin(messages: Messages): void

  /** The server wants data for COPY FROM STDIN. Returns false when there is none: then that is refused. */
  protected onCopyIn(_messages: Messages): boolean {
    return false
  }

  /** Whether nothing may be written any more. */
  protected get isSynced(): boolean {
    return this.#isSynced
  }

  override get result(): QueryResult {
    return this.outcome as unknown as QueryResult
  }

  protected override writeOwn(wire: Wire): void {
    this.#messages = this.#messagesTo(wire)
    this.begin(this.#messages)
  }

  /** Nothing of it was sent: as if the server had said so. */
  override unwritten(wire: Wire): void {
    this.onError(new Error('it was not sent'), wire)
  }

  /** What it takes from its source, or gives to its sink, is gone. */
  override get mayRunAgain(): boolean {
    return false
  }

  override handleCopyInResponse(wire: Wire): void {
    // A Sync that was sent before is not heard in the midst of a COPY.
    if (this.#messages === undefined || !this.onCopyIn(this.#messages)) refuseCopy(wire, this.#isSynced)
  }

  override handleError(error: Error, wire: Wire): void {
    super.handleError(error, wire)
    this.#messages?.sync()
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

/** The count at the end of a command tag; 0 where it has none. */
export function countOf({ text }: CommandCompleteMessage): number {
  return Number(/ (\d+)$/.exec(text)?.[1] ?? 0)
}
