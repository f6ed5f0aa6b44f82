import type { FetchCommand } from '../connection/command.js'
import type { FetchedStatement, PortalRequest } from '../connection/portal.js'
import type { StatementConfig } from '../connection/statement.js'
import { noDeadline, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { noop } from '../observe/noop.js'
import { type Bounds, type Executor, type StatementArguments, withCallersStack } from './queryable.js'
import type { Sql } from './sql.js'

/**
 * One row at a time out of batches. What an async generator with `yield*` would do, at a third of its cost: a row that is
 * at hand takes one promise in place of five.
 */
export class RowStream<Row> implements AsyncGenerator<Row, void, undefined> {
  readonly #batches: AsyncGenerator<Row[], void, undefined>
  #rows: readonly Row[] = []
  #at = 0
  /** Calls that wait for a fetch, or for their turn after one; and the last of them. */
  #waiting = 0
  #last: Promise<IteratorResult<Row, void>> | undefined

  constructor(batches: AsyncGenerator<Row[], void, undefined>) {
    this.#batches = batches
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Row, void>> {
    if (this.#waiting === 0 && this.#at < this.#rows.length) {
      return Promise.resolve({ done: false, value: this.#rows[this.#at++] as Row })
    }
    this.#last = this.#fetch(this.#waiting === 0 ? undefined : this.#last)
    return this.#last
  }

  /** Rows that were fetched and not read are forgotten, and what the batches hold is freed. */
  return(): Promise<IteratorResult<Row, void>> {
    return this.#leave(() => this.#batches.return())
  }

  throw(error: unknown): Promise<IteratorResult<Row, void>> {
    return this.#leave(() => this.#batches.throw(error))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #fetch(before: Promise<unknown> | undefined): Promise<IteratorResult<Row, void>> {
    this.#waiting += 1
    try {
      if (before !== undefined) await settled(before)
      while (this.#at >= this.#rows.length) {
        const { done, value } = await this.#batches.next()
        this.#at = 0
        this.#rows = done === true ? [] : value
        if (done === true) return { done: true, value: undefined }
      }
      return { done: false, value: this.#rows[this.#at++] as Row }
    } finally {
      this.#waiting -= 1
    }
  }

  async #leave(end: () => Promise<IteratorResult<Row[], void>>): Promise<IteratorResult<Row, void>> {
    if (this.#waiting > 0 && this.#last !== undefined) await settled(this.#last)
    this.#rows = []
    await end()
    return { done: true, value: undefined }
  }
}

/** An error rejects the call that asked for that row. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.then(noop, noop)
}

/** How rows are streamed. */
export interface StreamOptions extends OperationOptions {
  /**
   * Rows fetched in one round trip, and held in memory at a time; `1` or more.
   *
   * @default 100
   */
  readonly batchSize?: number | undefined
}

/** The arguments of `stream`. */
export type StreamArguments = StatementArguments<StreamOptions>

/** Anything that gives rows as they are asked for: the pool, a transaction. */
export interface Streamable {
  /**
   * The rows of a statement one by one, fetched in batches as they are asked for: a slow consumer slows the server down,
   * and nothing piles up in between. Leaving the loop early frees what the stream held.
   */
  stream<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: StreamOptions,
  ): AsyncGenerator<Row, void, undefined>
  stream<Row>(statement: Sql<Row>, options?: StreamOptions): AsyncGenerator<Row, void, undefined>
  stream<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row, void, undefined>
  stream<Row = Record<string, unknown>>(...args: StreamArguments): AsyncGenerator<Row, void, undefined>
  /** The same rows in batches of `batchSize`, for code that handles many at a time. */
  streamBatches<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined>
}

const defaultBatchSize = 100
const names = optionNames<StreamOptions>({ signal: true, timeoutMs: true, batchSize: true })
/** Portals of one transaction must differ; a number for the whole process is the simplest way. */
let portals = 0

/** @throws InvalidArgumentError for what is no option of a stream */
export function assertStreamOptions(options: StreamOptions | undefined): void {
  assertKnownOptions(options, names)
}

/**
 * Batches of rows inside an open transaction, in which other statements may run between two of them.
 *
 * @param whole what all of it is reported as, made when it was asked for
 * @param isAll whether it is over with the last batch, so that it is reported then
 */
export async function* batchesIn<Row>(
  executor: Executor,
  bounds: Bounds,
  config: StatementConfig,
  whole: FetchedStatement,
  options: StreamOptions = {},
  isAll = true,
): AsyncGenerator<Row[], void, undefined> {
  assertStreamOptions(options)
  const { batchSize = defaultBatchSize } = options
  if (!(Number.isInteger(batchSize) && batchSize >= 1)) {
    throw new InvalidArgumentError('batchSize', String(batchSize), 'a whole number, 1 or more')
  }
  const deadline = bounds.deadlineFor(options)
  const name = `lifeguard_${++portals}`
  let portal: PortalRequest = {
    name,
    whole,
    rows: batchSize,
    fields: undefined,
    reader: undefined,
    hasMore: false,
    isOpen: false,
  }
  let isOpen = false
  let isFailed = false
  try {
    for (;;) {
      isOpen = false
      const { rows, fields } = await executor.execute({ kind: 'fetch', config, portal }, deadline)
      isOpen = true
      if (rows.length > 0) yield rows as Row[]
      if (!portal.hasMore) return
      const { reader } = portal
      portal = { name, whole, rows: batchSize, fields, reader, hasMore: false, isOpen: false }
    }
  } catch (error) {
    // Where the server said that a batch failed, the transaction has failed with it, and the portal is gone. Where a parser
    // of values threw, both are still there.
    isOpen ||= portal.isOpen
    isFailed = true
    whole.failed(error)
    throw withCallersStack(error)
  } finally {
    try {
      if (isOpen) {
        const close: PortalRequest = {
          name,
          whole,
          rows: 0,
          fields: undefined,
          reader: undefined,
          hasMore: false,
          isOpen: false,
        }
        const command: FetchCommand = { kind: 'fetch', config: { text: `close ${name}` }, portal: close }
        const closing = whole.orFails(executor.execute(command, noDeadline))
        // The first error is the one that is reported. With the transaction the portal ends in any case.
        await (isFailed ? closing.catch(noop) : closing)
      }
    } finally {
      if (isAll) whole.over()
    }
  }
}
