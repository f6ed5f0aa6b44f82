import { withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { Work } from './work.js'

/** The marker row tells what became of a COMMIT whose answer was lost, on the new primary too. */
const proveCommit = { markerTable: 'lifeguard_commit', timeoutMs: 30_000 }

export const work: Work<PrismaDb> = {
  async count(pool, prisma) {
    return await pool.read(async () => await prisma.note.count())
  },
  async add(_pool, prisma, id) {
    await withTransaction(prisma, (tx) => tx.note.create({ data: { id, body: 'from Prisma' } }), { proveCommit })
  },
}
