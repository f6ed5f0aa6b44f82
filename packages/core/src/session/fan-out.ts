import { limitOf, type OperationOptions } from '../base/limit.js'
import { within } from '../errors/given-up.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { assertKnownOptions, limitNames } from '../errors/known-options.js'
import { type Deadline, withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** How long a failed call waits for the rest of its work; a query gives up its wait for the server before that. */
const settleBoundMs = 100

/** Pieces of work that run side by side, by name. */
export type FanOutTasks = Readonly<Record<string, (deadline: Deadline) => Promise<unknown>>>

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
    throw new InvalidOptionError('tasks', `of type ${typeof tasks}`, 'an object of functions')
  }
  assertKnownOptions(options, limitNames)
  const { ambient } = environment
  const failed = new AbortController()
  const own = ambient.limitFor(options)
  const limit = { ...own, signal: anyOf(own.signal, failed.signal) }
  const works: Promise<unknown>[] = []
  let first: { readonly error: unknown } | undefined
  const entries = await Promise.all(
    Object.entries(tasks).map(async ([name, task]) => {
      try {
        const follow = (deadline: Deadline): Promise<unknown> => {
          const work = task(deadline)
          works.push(work)
          return work
        }
        return [name, await withLimit(environment, limit, follow)] as const
      } catch (error) {
        first ??= { error }
        failed.abort(error)
        return [name, undefined] as const
      }
    }),
  )
  if (first !== undefined) {
    const { clock } = environment.host.environment
    // Until the word of the server is there. Work that does not listen is not waited for.
    const settled = Promise.allSettled(works)
    await within(settled, limitOf({ timeoutMs: settleBoundMs }, clock), clock).catch(() => undefined)
    throw first.error
  }
  return Object.fromEntries(entries) as FanOutResults<Tasks>
}

function anyOf(given: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  return given === undefined ? own : AbortSignal.any([given, own])
}
