import { withTransaction } from '@pg-lifeguard/drizzle'
import type { DrizzleDb } from '../../clients.js'
import { payment } from '../../schema/drizzle-tables.js'
import type { Pay } from './pay.js'

/** RIGHT. When the answer of COMMIT is lost, the server is asked what became of it, and the truth is returned. */
export const pay: Pay<DrizzleDb> = (db, orderId, cents) =>
  withTransaction(
    db,
    async (tx) => {
      await tx.insert(payment).values({ orderId, cents })
    },
    { proveCommit: true },
  )
