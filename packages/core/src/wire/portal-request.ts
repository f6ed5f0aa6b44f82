import type { FetchedStatement } from './fetched-statement.js'
import type { Field } from './pg-internals.js'

/**
 * Asks for some rows of a statement at a time. The portal lives as long as its transaction, so that other statements
 * may run between two batches. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export interface PortalRequest {
  readonly name: string
  /** What all requests for its rows are reported as, this one being a part of it. */
  readonly whole: FetchedStatement
  /** Rows to fetch now, 1 or more; 0 where the statement is CLOSE. */
  readonly rows: number
  /** The columns, once the first batch has told them; without them the portal is opened. */
  readonly fields: readonly Field[] | undefined
  /** Set when the batch has come: whether the portal has more to give. */
  hasMore: boolean
  /** Set with the answer: whether the server still has the portal, though the batch may not have been readable here. */
  isOpen: boolean
}
