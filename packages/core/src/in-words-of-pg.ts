import { OperationTimeoutError } from './errors/operation-errors.js'
import { AcquireTimeoutError } from './errors/pool-errors.js'
import { withCallersStack } from './session/queryable.js'

/**
 * An error as a caller of the facade gets it: its stack leads to the caller, and a time that is over has the very message of
 * `pg`, which programs compare. What the pool says of it begins the stack; class, code, cause and fields stay what they are.
 *
 * @param queryTimeout that of the query, which `pg` has words for; not so for a deadline around it
 */
export function inWordsOfPg(error: unknown, queryTimeout?: number): unknown {
  const words = wordsFor(error, queryTimeout)
  if (words === undefined) return withCallersStack(error)
  const said = error as Error
  // It is on its way through the client to the pool, and has been said.
  if (said.message === words) return said
  said.message = `${words}: ${said.message}`
  withCallersStack(said)
  // V8 writes it when it is read first, with the message of that time.
  void said.stack
  said.message = words
  return said
}

/** The same for a Submittable, which is told of failures where no caller is on the stack; undefined: as they are. */
export function toldInWordsOfPg(queryTimeout: number | undefined): ((error: unknown) => unknown) | undefined {
  if (queryTimeout === undefined) return undefined
  return (error) => (wordsFor(error, queryTimeout) === undefined ? error : inWordsOfPg(error, queryTimeout))
}

function wordsFor(error: unknown, queryTimeout: number | undefined): string | undefined {
  if (error instanceof AcquireTimeoutError) return 'timeout exceeded when trying to connect'
  return queryTimeout !== undefined && error instanceof OperationTimeoutError ? 'Query read timeout' : undefined
}
