import { createPool } from '@pg-lifeguard/core'
import type { Peer } from '../peer.js'
import { lockKey, readCounter, selectItem, updateItem, writeCounter } from '../sql.js'

export const lifeguard: Peer = {
  name: 'lifeguard',
  open(url, connections) {
    const pool = createPool({ connectionString: url, max: connections })
    return {
      async acquireRelease() {
        const connection = await pool.acquire()
        connection.release()
      },
      async select(id) {
        const { rows } = await pool.query<{ note: string }>(selectItem, [id])
        return rows[0]?.note
      },
      transaction: (statements) =>
        pool.withTransaction(async (tx) => {
          for (let id = 1; id <= statements; id++) await tx.query(updateItem, [id, 'new'])
        }),
      lock: () => pool.withLock(BigInt(lockKey), async () => undefined),
      increment: () =>
        pool.withTransaction(
          async (tx) => {
            const { rows } = await tx.query<{ value: number }>(readCounter, [1])
            await tx.query(writeCounter, [1, (rows[0]?.value ?? 0) + 1])
          },
          // The same patience as the peers' loops have.
          { isolation: 'serializable', retry: { attempts: 1_000 } },
        ),
      end: () => pool.end(),
    }
  },
}
