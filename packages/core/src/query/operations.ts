import type { Readable } from 'node:stream'
import type { Command } from '../connection/command.js'
import type { CopyResult } from '../connection/copy.js'
import { FetchedStatement } from '../connection/portal.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline, OperationOptions } from '../deadline/deadline.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { assertName } from '../sql/quote.js'
import { type Batchable, type BatchResults, batch } from './batch.js'
import {
  type CopyOptions,
  type CopyOrigin,
  type CopyRows,
  type CopyTarget,
  type CopyToOptions,
  copyFrom,
  copyTo,
} from './copy.js'
import {
  type AmbientBounds,
  type Executor,
  type QueryArguments,
  type Queryable,
  query,
  statementOf,
} from './queryable.js'
import { batchesIn, RowStream, type StreamArguments, type Streamable, type StreamOptions } from './stream.js'

/** Anything that copies rows in and out in bulk. */
export interface Copyable {
  /**
   * Copies rows into a table with COPY, the fastest way there is: all of them, or none. They are asked for one by one as
   * the server takes them.
   *
   * @param rows arrays, objects (with `columns`), or bytes in `format`; never out of the transaction that they go into
   * @throws what the rows throw, or what the server says; then nothing was copied
   */
  copyFrom(target: CopyTarget, rows: CopyRows, options?: CopyOptions): Promise<CopyResult>
  /**
   * The rows of a query or a table as a stream of bytes. A slow reader slows the server down; destroying the stream cancels
   * the COPY there, which fails the transaction that it is in.
   */
  copyTo(origin: CopyOrigin, options?: CopyToOptions): Readable
}

/** Anything that sends notifications. */
export interface Notifiable {
  /**
   * Sends a notification to whoever listens: inside of a transaction when it commits, and never when it does not. Only
   * sessions of the same database hear it.
   *
   * @param payload up to 7999 bytes of text; nothing unless given
   */
  notify(channel: string, payload?: string, options?: OperationOptions): Promise<void>
}

/** The body of every `notify`. */
export async function notify(on: Queryable, channel: string, payload = '', options?: OperationOptions): Promise<void> {
  assertName('the channel', channel)
  if (typeof payload !== 'string') throw new InvalidArgumentError('payload', `of type ${typeof payload}`, 'a string')
  await on.query(
    { text: 'select pg_catalog.pg_notify($1::pg_catalog.text, $2::pg_catalog.text)', values: [channel, payload] },
    options,
  )
}

/** Everything that can be asked of whatever runs statements. */
export interface Operable extends Queryable, Streamable, Batchable, Copyable, Notifiable {}

/** The same for a connection or a transaction, out of the one way in which it runs a command. */
export abstract class Operations implements Operable, Executor {
  readonly #bounds: AmbientBounds

  constructor(bounds: AmbientBounds) {
    this.#bounds = bounds
  }

  abstract execute(command: Command, deadline: Deadline): Promise<QueryResult>

  query<Row>(...args: QueryArguments): Promise<QueryResult<Row>> {
    return query<Row>(this, this.#bounds, args)
  }

  stream<Row>(...args: StreamArguments): AsyncGenerator<Row, void, undefined> {
    const { config, options } = statementOf(args)
    return new RowStream(this.streamBatches<Row>(config, options))
  }

  streamBatches<Row>(config: StatementConfig, options?: StreamOptions): AsyncGenerator<Row[], void, undefined> {
    return batchesIn<Row>(this, this.#bounds.fromHere(), config, new FetchedStatement(config), options)
  }

  batch<const Statements extends readonly StatementConfig[]>(
    statements: Statements,
    options?: OperationOptions,
  ): Promise<BatchResults<Statements>> {
    return batch(this, this.#bounds, statements, options)
  }

  copyFrom(...args: Parameters<Copyable['copyFrom']>): Promise<CopyResult> {
    return copyFrom(this, this.#bounds, ...args)
  }

  copyTo(...args: Parameters<Copyable['copyTo']>): Readable {
    return copyTo(this, this.#bounds, ...args)
  }

  notify(...args: Parameters<Notifiable['notify']>): Promise<void> {
    return notify(this, ...args)
  }
}
