import type { Command } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import { Deadline, givenUp, type OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { ownedBy } from '../errors/origin.js'
import { batch } from '../query/batch.js'
import { type Executor, withCallersStack } from '../query/queryable.js'
import type { StatementCollector } from '../transaction/context.js'
import type { SessionEnvironment } from '../transaction/environment.js'

/** How long the pieces of work may take to end after a failure, once the deadline is over. */
const settleBoundMs = 100

/** Pieces of work that ask for one statement each. */
export type BatchTasks = readonly (() => PromiseLike<unknown>)[]

/** What each piece of work gave, in their order. */
export type BatchTaskResults<Tasks extends BatchTasks> = {
  -readonly [Index in keyof Tasks]: Awaited<ReturnType<Tasks[Index]>>
}

/** The statement of one piece of work, which waits here until those of all others are there. */
class OneStatement implements StatementCollector {
  readonly #asked = Promise.withResolvers<StatementConfig>()
  readonly #answer = Promise.withResolvers<QueryResult>()
  readonly #index: number
  #isAsked = false

  constructor(index: number) {
    this.#index = index
    // Nobody waits for it when the work fails before it asks.
    this.#answer.promise.catch(() => undefined)
  }

  /** Settles when the statement is there. */
  get asked(): Promise<StatementConfig> {
    return this.#asked.promise
  }

  add(command: Command): Promise<QueryResult> {
    if (this.#isAsked || command.kind !== 'statement') {
      const what = this.#isAsked ? 'one that asks for a second statement' : 'one that asks for more than a statement'
      return Promise.reject(new InvalidArgumentError(`task ${this.#index}`, what, 'one statement each'))
    }
    this.#isAsked = true
    this.#asked.resolve(command.config)
    return this.#answer.promise
  }

  answered(result: QueryResult): void {
    this.#answer.resolve(result)
  }

  refused(error: unknown): void {
    this.#isAsked = true
    this.#answer.reject(error)
  }
}

/**
 * Runs pieces of work side by side, each of which asks the pool for one statement, and sends those as one batch: one round
 * trip, all or nothing. So the queries of an ORM become a batch, with the ORM's own types and mapping of rows.
 *
 * @throws BatchError with the index of the one that failed; InvalidArgumentError when a piece of work does not ask for
 * exactly one statement, which a second one is noticed to be only when the first is answered
 */
export async function batchTogether<const Tasks extends BatchTasks>(
  executor: Executor,
  { ambient, server }: Pick<SessionEnvironment, 'ambient' | 'server'>,
  tasks: Tasks,
  options?: OperationOptions,
): Promise<BatchTaskResults<Tasks>> {
  if (!Array.isArray(tasks) || tasks.some((task) => typeof task !== 'function')) {
    throw new InvalidArgumentError('tasks', `of type ${typeof tasks}`, 'an array of functions')
  }
  assertKnownOptions(options, operationNames)
  const deadline = ambient.deadlineFor(options)
  const { clock } = server.environment
  const reached = deadline.reached()
  if (reached !== undefined) throw ownedBy(givenUp(reached, 'not-sent'), server.environment)
  const collectors = tasks.map((_, index) => new OneStatement(index))
  const works = (tasks as BatchTasks).map((task, index) =>
    ambient.run({ collecting: collectors[index] }, async () => await task()),
  )
  const settled = Promise.allSettled(works)
  try {
    const statements = await deadline.within(
      Promise.all(collectors.map(({ asked }, index) => Promise.race([asked, idle(works[index], index)]))),
      'not-sent',
      server.environment,
    )
    const results = await ambient.run({ collecting: undefined }, () => batch(executor, ambient, statements, options))
    for (const [index, collector] of collectors.entries()) collector.answered(results[index] as QueryResult)
  } catch (error) {
    for (const collector of collectors) collector.refused(error)
    // Each piece of work is rejected and ends. One that goes on all the same holds up the caller no longer than the deadline.
    const isOver = deadline.reached() !== undefined
    const bound = isOver ? Deadline.after(settleBoundMs, clock) : deadline
    await bound.within(settled).catch(() => undefined)
    throw withCallersStack(error)
  }
  return (await deadline.within(Promise.all(works), 'unknown', server.environment)) as BatchTaskResults<Tasks>
}

/** A piece of work that ends without a statement: with its own error, or with one that says so. */
async function idle(work: Promise<unknown> | undefined, index: number): Promise<never> {
  await work
  throw new InvalidArgumentError(`task ${index}`, 'one that asks for no statement', 'one statement each')
}
