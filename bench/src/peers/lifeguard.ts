import { createPool } from '@pg-lifeguard/core'
import type { Peer } from '../peer.js'
import { type NumberedRow, readingHere } from '../read-rows.js'
import {
  insertRow,
  lockKey,
  manyRows,
  noteOf,
  readCounter,
  selectItem,
  sleepTurn,
  updateItem,
  writeCounter,
} from '../sql.js'

export const openLifeguard: Peer['open'] = (url, connections) => {
  const open = () => createPool({ connectionString: url, max: connections })
  const pool = open()
  return {
    async acquireRelease() {
      const connection = await pool.acquire()
      connection.release()
    },
    async turn() {
      await using connection = await pool.acquire()
      await connection.query(sleepTurn)
    },
    async select(id) {
      const { rows } = await pool.query<{ note: string }>(selectItem, [id])
      return rows[0]?.note
    },
    transaction: (statements) =>
      pool.withTransaction(async (tx) => {
        for (let id = 1; id <= statements; id++) await tx.query(updateItem, [id, noteOf(id)])
      }),
    insert: (row) => pool.query(insertRow, row),
    insertBatch: (rows) => pool.batch(rows.map((row) => ({ text: insertRow, values: row }))),
    copyIn: (rows) => pool.copyFrom({ table: 'sink', columns: ['id', 'body'] }, rows),
    async stream(count) {
      let sum = 0
      for await (const { n } of pool.stream<{ n: number }>(manyRows, [count])) sum += n
      return sum
    },
    ...readingHere(async (table) => (await pool.query<NumberedRow>(`select * from ${table}`)).rows),
    async coldSelect(id) {
      await using cold = open()
      const { rows } = await cold.query<{ note: string }>(selectItem, [id])
      return rows[0]?.note
    },
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
}
