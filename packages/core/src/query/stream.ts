import type { Prelude } from '../connection/operation.js'
import type { FetchedStatement, PartTaker, PortalRequest } from '../connection/portal.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Clock } from '../deadline/clock.js'
import { type Deadline, noDeadline, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { OperationAbortedError, OperationTimeoutError } from '../errors/operation-errors.js'
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
   * Rows fetched in one round trip; `1` or more. Where the pool asks ahead, as many again are held in memory.
   *
   * @default as many as take up about 256 KiB, 2000 at most; 100 in the first round trip
   */
  readonly batchSize?: number | undefined
}

/** The arguments of `stream`. */
export type StreamArguments = StatementArguments<StreamOptions>

/** Anything that gives rows as they are asked for: the pool, a transaction. */
export interface Streamable {
  /**
   * The rows of a statement one by one, fetched in batches as they are asked for: a slow consumer slows the server down,
   * and nothing piles up in between. A stream of the pool asks for one batch ahead, from the second on; in a transaction
   * or on a connection of one's own nothing is asked ahead. Leaving the loop early frees what the stream held.
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
  /** The same rows in the batches in which they were fetched, for code that handles many at a time. */
  streamBatches<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: StreamOptions,
  ): AsyncGenerator<Row[], void, undefined>
}

/** So many rows are fetched first. How long they are says how many are fetched next. */
const firstRows = 100
/** Bytes of rows to fetch in one round trip. */
const bytesOfFetch = 262_144
/** And what they may have if all of them were as long as the longest. */
const mostBytes = 4_194_304
/** What comes next may be much longer than what came. */
const mostRows = 2_000
/** A statement that gives its rows slowly gives few at a time. */
const mostMs = 250
/** How long a fetch that nobody wants any more is waited for, before it is cancelled: most need less than a cancel. */
const patienceMs = 100
const ahead = 'lifeguard_ahead'

const names = optionNames<StreamOptions>({ signal: true, timeoutMs: true, batchSize: true })
/** Portals of one transaction must differ; a number for the whole process is the simplest way. */
let portals = 0

/** @throws InvalidArgumentError for what is no option of a stream */
export function assertStreamOptions(options: StreamOptions | undefined): void {
  assertKnownOptions(options, names)
}

/** How many rows to fetch after these, which were as many as were asked for. */
function rowsAfter({ rows, bytes, longest }: PortalRequest, tookMs = 0): number {
  const bySize = Math.floor((bytesOfFetch * rows) / Math.max(1, bytes))
  const byLongest = Math.floor(mostBytes / Math.max(1, longest))
  const byTime = Math.max(firstRows, Math.floor((mostMs * rows) / Math.max(1, tookMs)))
  return Math.max(1, Math.min(bySize, byLongest, byTime, mostRows))
}

/** What came of a fetch: the rows that were in no part, or what has ended it. */
type Ended = { readonly rows: readonly unknown[] } | { readonly error: unknown }

/** One fetch, whose rows may come in parts. */
class Fetch implements PartTaker {
  readonly #parts: (readonly unknown[])[] = []
  #ended: Ended | undefined
  #goOn = noop
  #wake = noop
  /** Settles with its end, whatever that is. */
  readonly over: Promise<void>
  /** Whether all of its rows have been given. */
  isUsedUp = false

  /** @param ask gets what takes the parts, and gives the rows that are in none */
  constructor(ask: (taker: PartTaker) => Promise<readonly unknown[]>) {
    this.over = ask(this).then(
      (rows) => this.#end({ rows }),
      (error: unknown) => this.#end({ error }),
    )
  }

  take(rows: readonly unknown[], goOn: () => void): void {
    this.#parts.push(rows)
    this.#goOn = goOn
    this.#wake()
  }

  /** @throws what has ended it, when all rows before that have been given */
  async next(): Promise<readonly unknown[]> {
    for (;;) {
      const part = this.#parts.shift()
      if (part !== undefined) return part
      const ended = this.#ended
      if (ended !== undefined) {
        if ('error' in ended) throw ended.error
        this.isUsedUp = true
        return ended.rows
      }
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#goOn()
      await woken
    }
  }

  /** Whether it was given up, and the server has not said what has become of it, nor of what it brought along. */
  get isUnanswered(): boolean {
    const error = this.#ended !== undefined && 'error' in this.#ended ? this.#ended.error : undefined
    if (!(error instanceof OperationAbortedError || error instanceof OperationTimeoutError)) return false
    return error.outcome === 'unknown'
  }

  /** Nobody wants its rows: it is read to its end, and they are dropped. */
  drop(): void {
    this.#parts.length = 0
    this.#goOn()
  }

  #end(ended: Ended): void {
    this.#ended = ended
    this.#wake()
  }
}

/** The rows of one statement, which the server keeps while its transaction is open. */
class Portal {
  readonly #executor: Executor
  readonly #config: StatementConfig
  readonly #whole: FetchedStatement
  readonly #deadline: Deadline
  readonly #batchSize: number | undefined
  readonly #clock: Clock | undefined
  readonly #name = `lifeguard_${++portals}`
  /** What was asked for last. */
  #request: PortalRequest | undefined
  #rows: number
  #batches = 0
  #hasMore = true
  #isOpen = false
  /** What was asked for, and of which there may be more to give. */
  #current: Fetch | undefined
  /** What was asked for and nobody has got anything of yet. */
  #ahead: Fetch | undefined
  /** Aborts that, for a consumer that wants no more. */
  #leaving: AbortController | undefined
  /** That of what is asked ahead. */
  #aheadDeadline: Deadline | undefined
  /** Whether the server has the savepoint before that. */
  #isMarked = false

  /** @param clock where nobody else waits for the connection or for the transaction, which then end with the stream */
  constructor(
    executor: Executor,
    config: StatementConfig,
    whole: FetchedStatement,
    deadline: Deadline,
    batchSize: number | undefined,
    clock: Clock | undefined,
  ) {
    this.#executor = executor
    this.#config = config
    this.#whole = whole
    this.#deadline = deadline
    this.#batchSize = batchSize
    this.#rows = batchSize ?? firstRows
    this.#clock = clock
  }

  /** Whether there may be rows that nobody has got. */
  get hasMore(): boolean {
    return this.#hasMore
  }

  /** @throws what the server says, or what ends it from outside; the transaction has failed then, or is given up */
  async next(): Promise<readonly unknown[]> {
    const current = this.#current ?? this.#ahead ?? this.#fetch(this.#deadline)
    const rows = await current.next()
    // Its time was over before it asked for them. To ask for more is refused as it is anywhere.
    if (this.#ahead !== undefined && this.#deadline.reached() !== undefined) {
      await this.#end(`close ${this.#name}`, this.#deadline)
    }
    this.#ahead = undefined
    this.#current = current.isUsedUp ? undefined : current
    if (current.isUsedUp) this.#hasMore = this.#request?.hasMore === true
    this.#batches += 1
    return rows
  }

  /**
   * Asks for the next batch while the one at hand is read. Who reads one batch may want no more than a few rows; who comes
   * back for another one will want the next, too.
   *
   * A savepoint before it holds what the statement has done so far, should it call functions that change something: a
   * consumer that leaves would lose that with a batch that it has not asked for, and that fails or is cancelled.
   */
  askAhead(): void {
    if (this.#clock === undefined || this.#batches < 2 || this.#current !== undefined || !this.#hasMore) return
    if (this.#deadline.reached() !== undefined) return
    const preludes: Prelude[] = this.#isMarked ? [{ text: `release savepoint ${ahead}` }] : []
    this.#isMarked = false
    preludes.push({
      text: `savepoint ${ahead}`,
      onComplete: () => {
        this.#isMarked = true
      },
    })
    this.#leaving ??= new AbortController()
    this.#aheadDeadline ??= this.#deadline.and(this.#leaving.signal)
    this.#ahead = this.#fetch(this.#aheadDeadline, preludes)
  }

  /** Nobody wants the rest: what was asked ahead is undone, and the portal ends, with its transaction if not before. */
  async leave(isFailed: boolean): Promise<void> {
    // Its transaction is rolled back, and stops what runs in it.
    if (isFailed && this.#clock !== undefined) return
    const fetch = this.#ahead ?? this.#current
    if (fetch !== undefined) {
      if (this.#request !== undefined) this.#request.isDropped = true
      fetch.drop()
      // Of what it has got a part of, nothing can be taken back.
      const clock = fetch === this.#ahead ? this.#clock : undefined
      const timer = clock?.setTimer(patienceMs, () => this.#leaving?.abort())
      await fetch.over
      if (timer !== undefined) clock?.clearTimer(timer)
    }
    // The server says that it has the savepoint when it says what came of the rest.
    if (this.#ahead !== undefined && (this.#isMarked || this.#ahead.isUnanswered)) {
      await this.#end(`rollback to savepoint ${ahead}`, noDeadline)
      return
    }
    // In a transaction that ends with it, it ends without a round trip.
    if (!this.#isOpen || this.#clock !== undefined) return
    const closing = this.#end(`close ${this.#name}`, noDeadline)
    // The first error is the one that is reported. With the transaction the portal ends in any case.
    await (isFailed ? closing.catch(noop) : closing)
  }

  #fetch(deadline: Deadline, preludes?: readonly Prelude[]): Fetch {
    return new Fetch((taker) => this.#ask(deadline, preludes, taker))
  }

  async #ask(
    deadline: Deadline,
    preludes: readonly Prelude[] | undefined,
    taker: PartTaker,
  ): Promise<readonly unknown[]> {
    const request = this.#requestFor(this.#rows, taker)
    this.#request = request
    this.#isOpen = false
    try {
      const command = { kind: 'fetch', config: this.#config, portal: request, preludes } as const
      const { rows, fields }: QueryResult = await this.#executor.execute(command, deadline)
      request.fields = fields
      this.#isOpen = true
      if (this.#batchSize === undefined) this.#rows = rowsAfter(request, this.#whole.lastMs)
      return rows
    } catch (error) {
      // Where the server said that a batch failed, the transaction has failed with it, and the portal is gone. Where a parser
      // of values threw, both are still there.
      this.#isOpen = request.isOpen
      throw error
    }
  }

  async #end(text: string, deadline: Deadline): Promise<void> {
    const whole = this.#whole
    whole.ends()
    const command = { kind: 'fetch', config: { text }, portal: this.#requestFor(0) } as const
    await whole.orFails(this.#executor.execute(command, deadline))
  }

  #requestFor(rows: number, taker?: PartTaker): PortalRequest {
    const { fields, reader } = (rows > 0 ? this.#request : undefined) ?? { fields: undefined, reader: undefined }
    return {
      name: this.#name,
      whole: this.#whole,
      rows,
      fields,
      reader,
      hasMore: false,
      isOpen: false,
      bytes: 0,
      longest: 0,
      // A batch of a size that somebody has asked for comes as a whole.
      taker: this.#clock === undefined || this.#batchSize !== undefined ? undefined : taker,
      isDropped: false,
    }
  }
}

/**
 * Batches of rows inside an open transaction, in which other statements may run between two of them.
 *
 * @param whole what all of it is reported as, made when it was asked for
 * @param own where the transaction is there for it alone: that reports it when it is over; with the clock where it may ask
 * ahead, as nobody else runs anything between two batches, which would fail with the one that was asked ahead
 */
export async function* batchesIn<Row>(
  executor: Executor,
  bounds: Bounds,
  config: StatementConfig,
  whole: FetchedStatement,
  options: StreamOptions = {},
  own?: { readonly clock: Clock | undefined },
): AsyncGenerator<Row[], void, undefined> {
  assertStreamOptions(options)
  const { batchSize } = options
  if (batchSize !== undefined && !(Number.isInteger(batchSize) && batchSize >= 1)) {
    throw new InvalidArgumentError('batchSize', String(batchSize), 'a whole number, 1 or more')
  }
  const portal = new Portal(executor, config, whole, bounds.deadlineFor(options), batchSize, own?.clock)
  let isFailed = false
  try {
    while (portal.hasMore) {
      const rows = await portal.next()
      portal.askAhead()
      whole.gave(rows.length)
      if (rows.length > 0) yield rows as Row[]
    }
  } catch (error) {
    isFailed = true
    whole.failed(error)
    throw withCallersStack(error)
  } finally {
    try {
      await portal.leave(isFailed)
    } finally {
      if (own === undefined) whole.over()
    }
  }
}
