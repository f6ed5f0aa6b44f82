import type { Case } from './case.js'
import { acquire } from './cases/acquire.js'
import { firstQueries } from './cases/first-query.js'
import { increments } from './cases/increments.js'
import { insertions } from './cases/insert.js'
import { locks } from './cases/lock.js'
import { ormCases } from './cases/orm.js'
import { rows } from './cases/rows.js'
import { selects } from './cases/select.js'
import { streams } from './cases/stream.js'
import { transactions } from './cases/transaction.js'

/** The rows of the table, in this order. A new case is a file in cases/ and a line here. */
export const cases: readonly Case[] = [
  ...acquire,
  ...selects,
  ...transactions,
  ...insertions,
  ...rows,
  ...streams,
  ...firstQueries,
  ...locks,
  ...increments,
  ...ormCases,
]
