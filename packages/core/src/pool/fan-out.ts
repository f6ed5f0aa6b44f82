import { Deadline, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { callUser, warnOf } from '../observe/user-callback.js'
import { type DeadlineHandle, runWithin } from '../transaction/ambient-deadline.js'
import type { SessionEnvironment } from '../transaction/environment.js'

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
  items: Iterable<Item> | AsyncIterable<Item>,
  fn: (item: Item, index: number, deadline: DeadlineHandle) => Promise<T>,
  options: ConcurrencyOptions = {},
): Promise<T[]> {
  assertKnownOptions(options, names)
  const { ambient, server } = environment
  const { max } = server.pool
  const { concurrency = max } = options
  if (!(concurrency === Number.POSITIVE_INFINITY || (Number.isInteger(concurrency) && concurrency >= 1))) {
    throw new InvalidArgumentError('concurrency', String(concurrency), 'a whole number, 1 or more')
  }
  const failed = new AbortController()
  const deadline = ambient.deadlineFor(options).and(failed.signal)
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
        const { done, value } = await deadline.within(read(), 'unknown', server.environment)
        if (done === true || first !== undefined) return
        const at = index++
        results[at] = await runWithin(environment, deadline, (handle) => fn(value, at, handle))
      } catch (error) {
        first ??= { error }
        failed.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, max) }, worker))
  if (first === undefined) return results
  // A source that is still asked for an item ends after that item, which nobody waits for any more.
  if (isReading)
    callUser(
      () => source.return?.(),
      (error) => warnOf(error, 'LifeguardSourceWarning'),
    )
  else await source.return?.()
  throw (first as { readonly error: unknown }).error
}

/** How long a failed call waits for the rest of its work; a query gives up its wait for the server before that. */
const settleBoundMs = 100

/** Pieces of work that run side by side, by name. */
export type FanOutTasks = Readonly<Record<string, (deadline: DeadlineHandle) => Promise<unknown>>>

/** What each piece of work gave, by the same names. */
export type FanOutResults<Tasks extends FanOutTasks> = {
  readonly [Name in keyof Tasks]: Awaited<ReturnType<Tasks[Name]>>
}

/**
 * Runs all of them side by side and gives all their values. The first one to fail, or the deadline, cancels the others
 * on the server. When it rejects, each statement of the others has been cancelled or answered, as far as the network lets
 * us know, and a transaction among them is being rolled back.
 *
 * Inside a transaction they share its one connection and run one after the other; cancelling one fails the transaction.
 */
export async function fanOut<Tasks extends FanOutTasks>(
  environment: SessionEnvironment,
  tasks: Tasks,
  options: OperationOptions = {},
): Promise<FanOutResults<Tasks>> {
  if (typeof tasks !== 'object' || tasks === null || Object.values(tasks).some((task) => typeof task !== 'function')) {
    throw new InvalidArgumentError('tasks', `of type ${typeof tasks}`, 'an object of functions')
  }
  assertKnownOptions(options, operationNames)
  const { ambient } = environment
  const failed = new AbortController()
  const deadline = ambient.deadlineFor(options).and(failed.signal)
  const works: Promise<unknown>[] = []
  let first: { readonly error: unknown } | undefined
  const entries = await Promise.all(
    Object.entries(tasks).map(async ([name, task]) => {
      try {
        const follow = (handle: DeadlineHandle): Promise<unknown> => {
          const work = task(handle)
          works.push(work)
          return work
        }
        return [name, await runWithin(environment, deadline, follow)] as const
      } catch (error) {
        first ??= { error }
        failed.abort(error)
        return [name, undefined] as const
      }
    }),
  )
  if (first !== undefined) {
    const { clock } = environment.server.environment
    // Until the server has answered the cancellations. Work that goes on all the same is not waited for.
    const settled = Promise.allSettled(works)
    await Deadline.after(settleBoundMs, clock)
      .within(settled)
      .catch(() => undefined)
    throw first.error
  }
  return Object.fromEntries(entries) as FanOutResults<Tasks>
}
