import { withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Buy } from '../way.js'

/**
 * RIGHT. No lock at all: PostgreSQL undoes one of two transactions that could not have happened one after the other
 * (SQLSTATE 40001, which Prisma shows in three forms), and withTransaction runs the function again. `attempts` is high
 * because here 500 buyers fight for one number; the default is plenty for most work.
 */
export const buySerializable: Buy<PrismaDb> = (prisma, eventId, buyer) =>
  withTransaction(
    prisma,
    async (tx, { attempt }) => {
      const { tickets } = await tx.event.findUniqueOrThrow({ where: { id: eventId } })
      const sold = await tx.ticket.count({ where: { eventId } })
      if (sold >= tickets) return { sold: false, attempts: attempt }

      await tx.ticket.create({ data: { eventId, buyer } })
      return { sold: true, attempts: attempt }
    },
    { isolation: 'serializable', retry: { attempts: 1_000, backoff: { capMs: 100 } } },
  )
