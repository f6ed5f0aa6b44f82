import type { Pool } from '@pg-lifeguard/core'
import type { Work } from './work.js'

/** The marker row tells what became of a COMMIT whose answer was lost, on the new primary too. */
const proveCommit = { markerTable: 'lifeguard_commit', timeoutMs: 30_000 }

export const work: Work<Pool> = {
  async count(pool) {
    const { rows } = await pool.read(() => pool.query<{ n: number }>('select count(*)::int as n from note'))
    return rows[0]?.n ?? 0
  },
  async add(pool, _pool, id) {
    await pool.withTransaction((tx) => tx.query('insert into note values ($1, $2)', [id, 'from raw SQL']), {
      proveCommit,
    })
  },
}
