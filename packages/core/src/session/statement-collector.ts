import type { QueryResult } from '../wire/query-result.js'
import type { StatementConfig } from '../wire/statement.js'

/** Takes in what is asked of the pool in some code, to send it together with what is asked elsewhere. */
export interface StatementCollector {
  /** Settles with the statement's own answer, once all of them have been sent. */
  add(config: StatementConfig): Promise<QueryResult>
}
