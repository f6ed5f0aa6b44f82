import { withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { Work } from './work.js'

/** The marker row tells what became of a COMMIT whose answer was lost, on the new primary too. */
const proveCommit = { markerTable: 'lifeguard_commit', timeoutMs: 30_000 }

export const work: Work<KyselyDb> = {
  async count(pool, db) {
    const { n } = await pool.read(() =>
      db
        .selectFrom('note')
        .select((eb) => eb.fn.countAll<string>().as('n'))
        .executeTakeFirstOrThrow(),
    )
    return Number(n)
  },
  async add(_pool, db, id) {
    await withTransaction(db, (trx) => trx.insertInto('note').values({ id, body: 'from Kysely' }).execute(), {
      proveCommit,
    })
  },
}
