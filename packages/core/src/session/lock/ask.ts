import type { Limit } from '../../base/limit.js'
import type { Statement } from '../../wire/statement.js'

/** Runs a query of the library's own on whatever session is free for it, and gives its rows. */
export type Ask = (statement: Statement, limit: Limit) => Promise<readonly unknown[]>
