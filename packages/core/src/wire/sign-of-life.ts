import { Statement, type StatementConfig } from './statement.js'

/** A question that only an answer is wanted of: nobody's statement, which is neither reported nor counted. */
export function signOfLife(config: StatementConfig): Statement {
  const statement = new Statement(config)
  statement.isReported = false
  return statement
}
