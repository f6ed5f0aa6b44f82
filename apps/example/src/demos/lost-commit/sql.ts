import type { Pool } from '@pg-lifeguard/core'
import type { Pay } from './pay.js'

/** RIGHT. When the answer of COMMIT is lost, the server is asked what became of it, and the truth is returned. */
export const pay: Pay<Pool> = (pool, orderId, cents) =>
  pool.withTransaction(
    async (tx) => {
      await tx.query('insert into payment (order_id, cents) values ($1, $2)', [orderId, cents])
    },
    { proveCommit: true },
  )
