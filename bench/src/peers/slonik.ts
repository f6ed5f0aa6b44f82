import { createPool, sql } from 'slonik'
import type { Peer } from '../peer.js'
import { type NumberedRow, readingHere } from '../read-rows.js'
import { lockKey, noteOf, turnMs } from '../sql.js'

/** With its defaults, but for the size; it resets each connection after every use and prepares nothing. */
export const openSlonik: Peer['open'] = async (url, connections) => {
  const open = () => createPool(url, { maxPoolSize: connections })
  const pool = await open()
  return {
    acquireRelease: () => pool.connect(async () => undefined),
    turn: () => pool.connect((connection) => connection.query(sql.unsafe`select pg_sleep(${turnMs / 1_000})`)),
    select: (id) => pool.oneFirst(sql.unsafe`select note from item where id = ${id}`),
    transaction: (statements) =>
      pool.transaction(async (tx) => {
        for (let id = 1; id <= statements; id++)
          await tx.query(sql.unsafe`update item set note = ${noteOf(id)} where id = ${id}`)
      }),
    insert: ([id, body]) => pool.query(sql.unsafe`insert into sink (id, body) values (${id}, ${body})`),
    async stream(count) {
      let sum = 0
      const text = sql.unsafe`select n, 'row number ' || n as note, now() as at from generate_series(1, ${count}::int) n`
      await pool.stream(text, async (stream) => {
        for await (const { data } of stream as AsyncIterable<{ readonly data: { readonly n: number } }>) sum += data.n
      })
      return sum
    },
    ...readingHere(
      (table) => pool.any(sql.unsafe`select * from ${sql.identifier([table])}`) as Promise<readonly NumberedRow[]>,
    ),
    async coldSelect(id) {
      const cold = await open()
      const note = await cold.oneFirst(sql.unsafe`select note from item where id = ${id}`)
      await cold.end()
      return note
    },
    lock: () =>
      pool.connect(async (connection) => {
        await connection.query(sql.unsafe`select pg_advisory_lock(${lockKey})`)
        await connection.query(sql.unsafe`select pg_advisory_unlock(${lockKey})`)
      }),
    end: () => pool.end(),
  }
}
