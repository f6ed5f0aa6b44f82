import type { OperationOptions } from '../base/limit.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import { type Deadline, withLimit } from './ambient-deadline.js'
import type { SessionEnvironment } from './session-environment.js'

/** Pieces of work that run side by side, by name. */
export type FanOutTasks = Readonly<Record<string, (deadline: Deadline) => Promise<unknown>>>

/** What each piece of work gave, by the same names. */
export type FanOutResults<Tasks extends FanOutTasks> = {
  readonly [Name in keyof Tasks]: Awaited<ReturnType<Tasks[Name]>>
}

/**
 * Runs all of them side by side and gives all their values. The first one to fail, or the deadline, cancels the others
 * on the server; nothing of this call runs there any more when it rejects, as far as the network lets us know.
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
  const { ambient } = environment
  const failed = new AbortController()
  const limit = ambient.limitFor({ ...options, signal: anyOf(options.signal, failed.signal) })
  let first: { readonly error: unknown } | undefined
  const entries = await Promise.all(
    Object.entries(tasks).map(async ([name, task]) => {
      try {
        return [name, await withLimit(environment, limit, task)] as const
      } catch (error) {
        first ??= { error }
        failed.abort(error)
        return [name, undefined] as const
      }
    }),
  )
  if (first !== undefined) throw first.error
  return Object.fromEntries(entries) as FanOutResults<Tasks>
}

function anyOf(given: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  return given === undefined ? own : AbortSignal.any([given, own])
}
