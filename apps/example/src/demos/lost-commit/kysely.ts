import { withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Pay } from './pay.js'

/** RIGHT. When the answer of COMMIT is lost, the server is asked what became of it, and the truth is returned. */
export const pay: Pay<KyselyDb> = (db, orderId, cents) =>
  withTransaction(
    db,
    async (trx) => {
      await trx.insertInto('payment').values({ order_id: orderId, cents }).execute()
    },
    { proveCommit: true },
  )
