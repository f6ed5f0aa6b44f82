import type { OperationOptions } from '../base/limit.js'
import { callUser, warnOf } from '../base/user-callback.js'
import { within } from '../errors/given-up.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { type Deadline, withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** How many at a time. */
export interface ConcurrencyOptions extends OperationOptions {
  /**
   * Items worked on at the same time, `1` or more; never more than the pool has connections, so that they cannot all
   * wait for one another.
   *
   * @default the pool's `max`
   */
  readonly concurrency?: number | undefined
}

const names = optionNames<ConcurrencyOptions>({ signal: true, timeoutMs: true, concurrency: true })

/**
 * Runs `fn` for each item, a few at a time, and gives their values in the order of the items. The items may come from
 * an async iterable, which is read only as fast as they are worked on. The first failure cancels what runs on the
 * server, starts nothing more, and is thrown.
 */
export async function forEachConcurrent<Item, T>(
  environment: SessionEnvironment,
  max: number,
  items: Iterable<Item> | AsyncIterable<Item>,
  fn: (item: Item, index: number, deadline: Deadline) => Promise<T>,
  options: ConcurrencyOptions = {},
): Promise<T[]> {
  assertKnownOptions(options, names)
  const { concurrency = max } = options
  if (!(concurrency === Number.POSITIVE_INFINITY || (Number.isInteger(concurrency) && concurrency >= 1))) {
    throw new InvalidOptionError('concurrency', String(concurrency), 'a whole number, 1 or more')
  }
  const { host } = environment
  const failed = new AbortController()
  const own = environment.ambient.limitFor(options)
  const signal = own.signal === undefined ? failed.signal : AbortSignal.any([own.signal, failed.signal])
  const limit = { ...own, signal }
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const results: T[] = []
  let first: { readonly error: unknown } | undefined
  let reading: Promise<unknown> = Promise.resolve()
  let isReading = false
  let index = 0
  // An async iterator is asked for one item at a time, whoever asks.
  const read = (): Promise<IteratorResult<Item>> => {
    const next = reading.then(() => {
      isReading = true
      return source.next()
    })
    const ended = (): void => {
      isReading = false
    }
    reading = next.then(ended, ended)
    return next
  }
  const worker = async (): Promise<void> => {
    while (first === undefined) {
      try {
        const { done, value } = await within(read(), limit, host.environment.clock, 'unknown', host.environment)
        if (done === true || first !== undefined) return
        const at = index++
        results[at] = await withLimit(environment, limit, (deadline) => fn(value, at, deadline))
      } catch (error) {
        first ??= { error }
        failed.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, max) }, worker))
  if (first === undefined) return results
  // One that is still asked for an item ends when it has given that, which nobody waits for any more.
  if (isReading)
    callUser(
      () => source.return?.(),
      (error) => warnOf(error, 'LifeguardSourceWarning'),
    )
  else await source.return?.()
  throw (first as { readonly error: unknown }).error
}
