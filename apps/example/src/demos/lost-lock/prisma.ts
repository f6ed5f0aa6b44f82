import { withLock } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Publish } from './publish.js'

/**
 * RIGHT. `signal` stops the work when the lock is lost. For a holder that does not hear of it, because it is stuck, there
 * is the fencing token: whoever got the lock later has a greater one, and the row remembers the greatest.
 */
export const publish: Publish<PrismaDb> = (prisma, draft) =>
  withLock(prisma, 'report', async ({ signal, fencingToken: { timeline, xid } }) => {
    const body = await draft(signal)
    const isEarlier = { OR: [{ timeline: { lt: timeline } }, { timeline, xid: { lt: xid } }] }
    const { count } = await prisma.report.updateMany({
      where: { name: 'report', ...isEarlier },
      data: { body, timeline, xid },
    })
    return count === 1
  })
