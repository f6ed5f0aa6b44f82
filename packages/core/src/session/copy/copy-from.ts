import { AsyncLocalStorage } from 'node:async_hooks'
import { callUser } from '../../base/user-callback.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from '../../errors/known-options.js'
import { quoteIdentifier, quoteName } from '../../sql/quote-name.js'
import { CopyIn, type CopyResult, type CopySource } from '../../wire/copy-in.js'
import { type ExchangeConfig, outcomeOf } from '../../wire/exchange.js'
import { type Bounds, type Executor, withCallersStack } from '../queryable.js'
import { type CopyFormat, formatClause, formatNames } from './copy-format.js'
import type { CopyOptions } from './copy-options.js'
import { bytesOf, type CopyInput } from './copy-rows.js'
import { progressReport, warnOfCopy } from './report-progress.js'

/** Where rows go, and in which form they come. */
export interface CopyTarget extends CopyFormat {
  /** Its name, with a schema in front of a dot where it needs one. */
  readonly table: string
  /** The columns that are given, in this order. @default all of the table, in its order */
  readonly columns?: readonly string[] | undefined
}

/** What `copyFrom` takes: rows, or bytes in the format of the target; a stream, or anything that can be iterated. */
export type CopyRows = Iterable<CopyInput> | AsyncIterable<CopyInput>

const copyFromNames = optionNames<CopyOptions>({ signal: true, timeoutMs: true, onProgress: true })
const targetNames = optionNames<CopyTarget>({ ...formatNames, table: true, columns: true })

/** The body of every `copyFrom`. */
export async function copyFrom(
  executor: Executor,
  bounds: Bounds,
  target: CopyTarget,
  rows: CopyRows,
  options: CopyOptions = {},
): Promise<CopyResult> {
  assertKnownOptions(options, copyFromNames)
  const text = copyFromCommand(target)
  const limit = bounds.limitFor(options)
  const report = progressReport(options)
  const progress = { rows: 0 }
  const source = sourceOf(rows, target, () => {
    progress.rows += 1
  })
  const config: ExchangeConfig = {
    text: '',
    exchange: (preludes) => new CopyIn(text, preludes, source, (bytes) => report(bytes, progress.rows)),
  }
  try {
    return outcomeOf<CopyResult>(await executor.execute(config, limit))
  } catch (error) {
    source.stop()
    throw withCallersStack(error)
  }
}

function copyFromCommand(target: CopyTarget): string {
  if (typeof target !== 'object' || target === null || typeof target.table !== 'string') {
    throw new InvalidOptionError('the target', `of type ${typeof target}`, "{ table: 'name', columns: ['a', 'b'] }")
  }
  assertKnownOptions(target, targetNames)
  const { table, columns } = target
  if (columns !== undefined && !(Array.isArray(columns) && columns.length > 0)) {
    throw new InvalidOptionError('columns', JSON.stringify(columns), 'an array of one name or more')
  }
  const list = columns === undefined ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
  return `copy ${quoteName(table)}${list} from stdin${formatClause(target)}`
}

function sourceOf(rows: CopyRows, target: CopyTarget, onRow: () => void): CopySource {
  if (typeof rows !== 'object' || rows === null || !(Symbol.asyncIterator in rows || Symbol.iterator in rows)) {
    throw new InvalidOptionError(
      'rows',
      `of type ${typeof rows}`,
      'a stream, an array, or anything that can be iterated',
    )
  }
  const { format = 'text', columns } = target
  const hasOwnForm = target.header === true || target.delimiter !== undefined || target.null !== undefined
  const bytes = bytesOf(rows, columns, format === 'text' && !hasOwnForm, onRow)
  // The source is the caller's code: it runs as if the caller had called it, and not the socket.
  const asCaller = AsyncLocalStorage.snapshot()
  let isStopped = false
  return {
    next: () => asCaller(() => bytes.next()),
    stop: () => {
      if (isStopped) return
      isStopped = true
      asCaller(() => {
        bytes.return().catch(warnOfCopy)
        // A stream that nobody has begun to read is closed by nobody else.
        callUser(() => {
          if ('destroy' in rows && typeof rows.destroy === 'function') rows.destroy()
        }, warnOfCopy)
      })
    },
  }
}
