import { BatchExchange } from '../connection/batch.js'
import type { ExchangeCommand } from '../connection/command.js'
import { outcomeOf } from '../connection/exchange.js'
import type { Prelude } from '../connection/operation.js'
import type { QueryResult } from '../connection/result.js'
import type { StatementConfig } from '../connection/statement.js'
import type { Deadline, OperationOptions } from '../deadline/deadline.js'
import { endsSession } from '../errors/classify.js'
import { assertKnownOptions, operationNames } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { inheritOrigin } from '../errors/origin.js'
import { errorWithSqlState } from '../errors/sqlstate.js'
import { BatchError } from '../errors/transaction-errors.js'
import { firstWords } from '../sql/transaction-control.js'
import { type Bounds, type Executor, withCallersStack } from './queryable.js'
import { mostParameters, type Sql } from './sql.js'

/** The results of a batch, in the order of its statements, each with the rows that its `sql<Row>` claims. */
export type BatchResults<Statements extends readonly StatementConfig[]> = {
  -readonly [Index in keyof Statements]: Statements[Index] extends Sql<infer Row> ? QueryResult<Row> : QueryResult
}

/** Anything that runs several statements as one. */
export interface Batchable {
  /**
   * Runs statements of any kind in ONE round trip, all or nothing: outside of a transaction they are one of their own,
   * inside of one they belong to it. They run in order; none sees what another one returned.
   *
   * @throws BatchError with the index of the statement that failed; what `query` throws for everything else
   */
  batch<const Statements extends readonly StatementConfig[]>(
    statements: Statements,
    options?: OperationOptions,
  ): Promise<BatchResults<Statements>>
}

/**
 * Commands that begin or end a transaction, or that take over the connection: with them a batch would not be all or
 * nothing. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
const refused =
  /^(?:begin|start transaction|commit|end|rollback|abort|savepoint|release|prepare transaction|copy)(?= |$)/
/** Commands that never commit by themselves. */
const plain = /^(?:select|insert|update|delete|merge|with|values|table)$/
/**
 * Goes ahead of a batch that begins with anything else: after it, the server itself refuses what would have to commit at
 * once (VACUUM, CREATE DATABASE), which it lets pass as the first of a pipeline.
 */
const guard: Prelude = { text: 'select' }

/** The body of every `batch`. */
export async function batch<const Statements extends readonly StatementConfig[]>(
  executor: Executor,
  bounds: Bounds,
  statements: Statements,
  options: OperationOptions | undefined,
): Promise<BatchResults<Statements>> {
  if (!Array.isArray(statements)) {
    throw new InvalidArgumentError('the batch', `of type ${typeof statements}`, 'an array of statements')
  }
  assertKnownOptions(options, operationNames)
  for (const [index, statement] of statements.entries()) check(statement, index)
  const deadline = bounds.deadlineFor(options)
  if (statements.length === 0) return [] as unknown as BatchResults<Statements>
  try {
    return await run(executor, deadline, statements)
  } catch (error) {
    throw withCallersStack(error)
  }
}

async function run<Statements extends readonly StatementConfig[]>(
  executor: Executor,
  deadline: Deadline,
  statements: Statements,
): Promise<BatchResults<Statements>> {
  let sent: BatchExchange | undefined
  const isPlain = plain.test(firstWords(statements[0]?.text ?? '', 1))
  const command: ExchangeCommand = {
    kind: 'exchange',
    exchange: (preludes) => {
      sent = new BatchExchange(statements, isPlain ? preludes : [...preludes, guard])
      return sent
    },
  }
  try {
    return outcomeOf<BatchResults<Statements>>(await executor.execute(command, deadline))
  } catch (error) {
    // What was given up, and a connection that was lost, is reported as it is for a single statement.
    const index = sent?.failedAt
    if (index === undefined || error !== sent?.failure || errorWithSqlState(error) === undefined) throw error
    // The server ended the session, and may have done so after the commit.
    if (endsSession(error)) throw error
    const at = index < statements.length ? index : undefined
    const failed = new BatchError(at, statements[index]?.text, statements.length, { cause: error })
    if (typeof error === 'object' && error !== null) inheritOrigin(failed, error)
    throw failed
  }
}

function check(statement: StatementConfig, index: number): void {
  const name = `statement ${index} of the batch`
  if (typeof statement !== 'object' || statement === null || typeof statement.text !== 'string') {
    throw new InvalidArgumentError(name, `of type ${typeof statement}`, "sql`...`, or an object with a 'text'")
  }
  const { text, values } = statement
  if (values !== undefined && !Array.isArray(values)) {
    throw new InvalidArgumentError(`the values of ${name}`, `of type ${typeof values}`, 'an array')
  }
  if (values !== undefined && values.length > mostParameters) {
    throw new InvalidArgumentError(name, `with ${values.length} values`, `up to ${mostParameters}; or use copyFrom`)
  }
  const command = refused.exec(firstWords(text, 2))?.[0]
  if (command === undefined) return
  const instead = command === 'copy' ? 'copyFrom and copyTo' : 'withTransaction, inside of which batch can be used'
  throw new InvalidArgumentError(
    name,
    JSON.stringify(command),
    `a statement that leaves the transaction alone; see ${instead}`,
  )
}
