import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import postgres from 'postgres'
import { copyLines } from '../copy-lines.js'
import type { Peer } from '../peer.js'
import { type NumberedRow, readingHere } from '../read-rows.js'
import { isConflict, lockKey, noteOf, sleepTurn } from '../sql.js'

/** Prepares every statement, and pipelines on its connections when all are busy. */
export const openPostgresJs: Peer['open'] = (url, connections) => {
  const open = () => postgres(url, { max: connections })
  const sql = open()
  return {
    async acquireRelease() {
      const reserved = await sql.reserve()
      reserved.release()
    },
    async turn() {
      const reserved = await sql.reserve()
      try {
        await reserved.unsafe(sleepTurn)
      } finally {
        reserved.release()
      }
    },
    async select(id) {
      const rows = await sql<{ note: string }[]>`select id, note from item where id = ${id}`
      return rows[0]?.note
    },
    transaction: (statements) =>
      sql.begin(async (tx) => {
        for (let id = 1; id <= statements; id++) await tx`update item set note = ${noteOf(id)} where id = ${id}`
      }),
    insert: ([id, body]) => sql`insert into sink (id, body) values (${id}, ${body})`,
    // Its statements in a transaction may be sent without waiting for each other.
    insertBatch: (rows) =>
      sql.begin((tx) => rows.map(([id, body]) => tx`insert into sink (id, body) values (${id}, ${body})`)),
    async copyIn(rows) {
      await pipeline(Readable.from(copyLines(rows)), await sql`copy sink (id, body) from stdin`.writable())
    },
    async stream(count) {
      let sum = 0
      const text = sql`select n, 'row number ' || n as note, now() as at from generate_series(1, ${count}::int) n`
      for await (const rows of text.cursor(100)) for (const row of rows) sum += row['n'] as number
      return sum
    },
    ...readingHere((table) => sql<NumberedRow[]>`select * from ${sql(table)}`),
    async coldSelect(id) {
      const cold = open()
      const rows = await cold<{ note: string }[]>`select id, note from item where id = ${id}`
      await cold.end()
      return rows[0]?.note
    },
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
}
