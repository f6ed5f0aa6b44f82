import postgres from 'postgres'
import type { Peer } from '../peer.js'
import { isConflict, lockKey } from '../sql.js'

/** Prepares every statement, and pipelines on its connections when all are busy. */
export const postgresJs: Peer = {
  name: 'postgres.js',
  open(url, connections) {
    const sql = postgres(url, { max: connections })
    return {
      async acquireRelease() {
        const reserved = await sql.reserve()
        reserved.release()
      },
      async select(id) {
        const rows = await sql<{ note: string }[]>`select id, note from item where id = ${id}`
        return rows[0]?.note
      },
      transaction: (statements) =>
        sql.begin(async (tx) => {
          for (let id = 1; id <= statements; id++) await tx`update item set note = ${'new'} where id = ${id}`
        }),
      async lock() {
        const reserved = await sql.reserve()
        try {
          await reserved`select pg_advisory_lock(${lockKey})`
          await reserved`select pg_advisory_unlock(${lockKey})`
        } finally {
          reserved.release()
        }
      },
      async increment() {
        for (;;) {
          try {
            await sql.begin('isolation level serializable', async (tx) => {
              const rows = await tx<{ value: number }[]>`select value from counter where id = ${1}`
              await tx`update counter set value = ${(rows[0]?.value ?? 0) + 1} where id = ${1}`
            })
            return
          } catch (error) {
            if (!isConflict(error)) throw error
          }
        }
      },
      end: () => sql.end(),
    }
  },
}
