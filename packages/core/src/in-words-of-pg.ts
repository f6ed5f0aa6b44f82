import { OperationTimeoutError } from './errors/operation-errors.js'
import { AcquireTimeoutError } from './errors/pool-errors.js'

/**
 * Puts what `pg` says of a time that is over ahead of what the pool says: programs look for those words. Class, code and
 * cause stay what they are.
 *
 * @param queryTimeout that of the query, which `pg` has words for; not so for a deadline around it
 */
export function inWordsOfPg(error: unknown, queryTimeout?: number): unknown {
  if (error instanceof AcquireTimeoutError) say(error, 'timeout exceeded when trying to connect')
  else if (queryTimeout !== undefined && error instanceof OperationTimeoutError) say(error, 'Query read timeout')
  return error
}

function say(error: Error, words: string): void {
  if (!error.message.startsWith(words)) error.message = `${words}: ${error.message}`
}
