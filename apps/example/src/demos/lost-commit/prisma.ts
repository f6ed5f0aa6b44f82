import { withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Pay } from './pay.js'

/** RIGHT. When the answer of COMMIT is lost, the server is asked what became of it, and the truth is returned. */
export const pay: Pay<PrismaDb> = (prisma, orderId, cents) =>
  withTransaction(
    prisma,
    async (tx) => {
      await tx.payment.create({ data: { orderId, cents } })
    },
    { proveCommit: true },
  )
