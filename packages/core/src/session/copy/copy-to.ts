import { AsyncLocalStorage } from 'node:async_hooks'
import { Readable } from 'node:stream'
import { type Limit, tighter } from '../../base/limit.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { assertKnownOptions, type OptionNames, optionNames } from '../../errors/known-options.js'
import { quoteIdentifier, quoteName } from '../../sql/quote-name.js'
import { type CopiedQuery, CopyOut } from '../../wire/copy-out.js'
import type { ExchangeConfig } from '../../wire/exchange.js'
import type { StatementConfig } from '../../wire/statement.js'
import { type Bounds, type Executor, withCallersStack } from '../queryable.js'
import { Sql } from '../sql/sql-statement.js'
import { type CopyFormat, formatClause, formatNames } from './copy-format.js'
import type { CopyOptions } from './copy-options.js'
import { progressReport } from './report-progress.js'
import { withLiterals } from './with-literals.js'

/** What is copied out: the rows of a query, or of a table. */
export type CopyOrigin = StatementConfig | { readonly table: string; readonly columns?: readonly string[] | undefined }

/** In which form data comes out, and how far. */
export interface CopyToOptions extends CopyFormat, CopyOptions {}

const copyToNames = optionNames<CopyToOptions>({ ...formatNames, signal: true, timeoutMs: true, onProgress: true })
const tableNames: OptionNames = new Set(['table', 'columns'])

/** The body of every `copyTo`. The bytes are asked for when the stream is first read. */
export function copyTo(executor: Executor, bounds: Bounds, origin: CopyOrigin, options: CopyToOptions = {}): Readable {
  assertKnownOptions(options, copyToNames)
  const copied = copyToCommand(origin, options)
  const execute = AsyncLocalStorage.bind((config: ExchangeConfig, limit: Limit) => executor.execute(config, limit))
  return new CopyStream(execute, bounds.limitFor(options), copied, options)
}

/** What is sent, what is reported of it, and what is checked before. */
interface Copied {
  readonly command: string
  readonly label: string
  readonly checked?: CopiedQuery
}

function copyToCommand(origin: CopyOrigin, options: CopyToOptions): Copied {
  const end = ` to stdout${formatClause(options)}`
  if (typeof origin !== 'object' || origin === null) {
    throw new InvalidOptionError('what to copy', `of type ${typeof origin}`, "sql`select ...`, or { table: 'name' }")
  }
  if ('table' in origin) {
    assertKnownOptions(origin, tableNames)
    const list = origin.columns === undefined ? '' : ` (${origin.columns.map(quoteIdentifier).join(', ')})`
    const command = `copy ${quoteName(origin.table)}${list}${end}`
    return { command, label: command }
  }
  const { text, values = [] } = origin
  if (typeof text !== 'string') {
    throw new InvalidOptionError('what to copy', 'without a text', "sql`select ...`, or { table: 'name' }")
  }
  const label = `copy (${text}\n)${end}`
  if (values.length === 0) return { command: label, label }
  if (!(origin instanceof Sql)) {
    throw new InvalidOptionError('the query', 'a text with values', 'sql`select ...`: COPY itself takes no parameters')
  }
  return { command: `copy (${withLiterals(origin)}\n)${end}`, label, checked: { text, values } }
}

/** The bytes of a COPY, as they come; destroying it cancels on the server. */
class CopyStream extends Readable {
  readonly #execute: (config: ExchangeConfig, limit: Limit) => Promise<unknown>
  readonly #limit: Limit
  readonly #copied: Copied
  readonly #options: CopyToOptions
  readonly #gone = new AbortController()
  #exchange: CopyOut | undefined
  readonly #report: (bytes: number, rows: number) => void
  #running: Promise<void> | undefined

  constructor(
    execute: (config: ExchangeConfig, limit: Limit) => Promise<unknown>,
    limit: Limit,
    copied: Copied,
    options: CopyToOptions,
  ) {
    super({ highWaterMark: 65_536 })
    this.#execute = execute
    this.#limit = limit
    this.#copied = copied
    this.#options = options
    this.#report = progressReport(options)
  }

  override _read(): void {
    if (this.#running === undefined) this.#running = this.#run()
    else this.#exchange?.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#gone.abort()
    // The connection is free again, or on its way to be, when the stream says that it is closed.
    void (this.#running ?? Promise.resolve()).then(() => callback(error))
  }

  async #run(): Promise<void> {
    const lines = this.#options.header === true ? 1 : 0
    const sink = {
      push: (chunk: Buffer) => this.push(chunk),
      progress: (bytes: number, messages: number) => this.#report(bytes, Math.max(0, messages - lines)),
    }
    const config: ExchangeConfig = {
      text: '',
      exchange: (preludes) => {
        const { command, label, checked } = this.#copied
        this.#exchange = new CopyOut(command, label, preludes, sink, checked)
        return this.#exchange
      },
    }
    const gone: Limit = {
      deadlineAt: Number.POSITIVE_INFINITY,
      timeoutMs: Number.POSITIVE_INFINITY,
      signal: this.#gone.signal,
    }
    try {
      await this.#execute(config, tighter(this.#limit, gone))
      this.push(null)
    } catch (error) {
      // Once the consumer has left, nobody is there to hear it.
      if (!this.destroyed) this.destroy(withCallersStack(error) as Error)
    }
  }
}
