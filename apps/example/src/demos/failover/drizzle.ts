import { withTransaction } from '@pg-lifeguard/drizzle'
import { count } from 'drizzle-orm'
import type { DrizzleDb } from '../../clients.js'
import { note } from '../../schema/drizzle-tables.js'
import type { Work } from './work.js'

/** The marker row tells what became of a COMMIT whose answer was lost, on the new primary too. */
const proveCommit = { markerTable: 'lifeguard_commit', timeoutMs: 30_000 }

export const work: Work<DrizzleDb> = {
  async count(pool, db) {
    const [counted] = await pool.read(async () => await db.select({ n: count() }).from(note))
    return counted?.n ?? 0
  },
  async add(_pool, db, id) {
    await withTransaction(db, async (tx) => await tx.insert(note).values({ id, body: 'from Drizzle' }), {
      proveCommit,
    })
  },
}
