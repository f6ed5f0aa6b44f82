import type { Command, StatementCommand } from '../connection/command.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline, OperationOptions } from '../deadline/deadline.js'
import { assertKnownOptions, operationNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { Sql } from './sql.js'

/** The ways to say what to run: text and values, or one object with both; then how far it may go. */
export type StatementArguments<Options> =
  | readonly [text: string, values?: readonly unknown[] | undefined, options?: Options | undefined]
  | readonly [statement: StatementConfig, options?: Options | undefined]

/** The arguments of `query`. */
export type QueryArguments = StatementArguments<OperationOptions>

/** Anything that runs statements: the pool, a connection, a transaction. */
export interface Queryable {
  /**
   * Runs a statement. Values travel apart from the text, as parameters.
   *
   * @typeParam Row the type of a row; a claim by the caller that nothing checks
   * @throws pg's DatabaseError when the server refuses it; OperationTimeoutError and OperationAbortedError when it was
   * given up, with what is known of the outcome; ConnectionLostError when the connection ended under it
   */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: OperationOptions,
  ): Promise<QueryResult<Row>>
  /** Runs a statement written with `sql`, which says the type of its rows. */
  query<Row>(statement: Sql<Row>, options?: OperationOptions): Promise<QueryResult<Row>>
  query<Row = Record<string, unknown>>(
    statement: StatementConfig,
    options?: OperationOptions,
  ): Promise<QueryResult<Row>>
  query<Row = Record<string, unknown>>(...args: QueryArguments): Promise<QueryResult<Row>>
}

/** Something that runs one command within a deadline. */
export interface Executor {
  execute(command: Command, deadline: Deadline): Promise<QueryResult>
}

/** Turns a caller's options into absolute bounds; the ambient context of the pool does. */
export interface Bounds {
  deadlineFor(options: OperationOptions | undefined): Deadline
}

/** The same, for work that is begun later by somebody else: a stream is made here, and read there. */
export interface AmbientBounds extends Bounds {
  /** What bounds the code that calls now bounds the work as well, whoever begins it. */
  fromHere(): Bounds
}

/** The body of every `query`: one form out of the several, and errors whose stack leads to the caller. */
export async function query<Row>(executor: Executor, bounds: Bounds, args: QueryArguments): Promise<QueryResult<Row>> {
  const call = statementOf(args)
  const { options } = call
  if (options !== undefined) assertKnownOptions(options, operationNames)
  try {
    return (await executor.execute(call, bounds.deadlineFor(options))) as QueryResult<Row>
  } catch (error) {
    throw withCallersStack(error)
  }
}

/** A call that asks for a statement: the command, as it is executed, and its options. One object, as every query has it. */
export interface StatementCall<Options> extends StatementCommand {
  readonly options: Options | undefined
}

/** One form out of the several. */
export function statementOf<Options>(args: StatementArguments<Options>): StatementCall<Options> {
  const [first] = args
  if (typeof first === 'string') {
    const [text, values, options] = args as Extract<typeof args, readonly [text: string, ...unknown[]]>
    if (values !== undefined && !Array.isArray(values)) {
      throw new InvalidArgumentError(
        'values',
        `of type ${typeof values}`,
        'an array with one value for each placeholder',
      )
    }
    return { kind: 'statement', config: { text, values }, options }
  }
  if (typeof first !== 'object' || first === null || typeof first.text !== 'string') {
    throw new InvalidArgumentError('the statement', `of type ${typeof first}`, "a string, or an object with a 'text'")
  }
  return { kind: 'statement', config: first, options: args[1] as Options | undefined }
}

/**
 * An error that comes in over the socket has a stack that ends in the parser. Taken anew after an `await`, it leads to
 * the line that asked; the error stays the same object. https://v8.dev/docs/stack-trace-api
 */
export function withCallersStack(error: unknown): unknown {
  if (error instanceof Error && !Object.isFrozen(error)) Error.captureStackTrace(error, withCallersStack)
  return error
}
