import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import QueryStream from 'pg-query-stream'
import { copyLines } from '../copy-lines.js'
import type { Peer, Session } from '../peer.js'
import { type NumberedRow, readingHere } from '../read-rows.js'
import {
  copyRows,
  insertRow,
  isConflict,
  lock,
  lockKey,
  manyRows,
  noteOf,
  readCounter,
  selectItem,
  sleepTurn,
  unlock,
  updateItem,
  writeCounter,
} from '../sql.js'

/** As people use it: text and values, and transactions by hand. */
export const openPgPool: Peer['open'] = (url, connections) => sessionOn(url, connections, false)

/** The same with a name for every statement, so that the server parses and plans each only once for a connection. */
export const openPgPoolNamed: Peer['open'] = (url, connections) => {
  // A name makes no difference to acquiring a connection.
  const { acquireRelease: _, turn: __, ...session } = sessionOn(url, connections, true)
  return session
}

function sessionOn(url: string, max: number, named: boolean): Session {
  const open = (): pg.Pool => new pg.Pool({ connectionString: url, max })
  const pool = open()
  const run = <Row extends pg.QueryResultRow>(on: pg.Pool | pg.PoolClient, text: string, values: unknown[]) =>
    named ? on.query<Row>({ name: text, text, values }) : on.query<Row>(text, values)
  async function inTransaction(begin: string, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
    const client = await pool.connect()
    try {
      await client.query(begin)
      try {
        await work(client)
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw error
      }
    } finally {
      client.release()
    }
  }
  return {
    async acquireRelease() {
      const client = await pool.connect()
      client.release()
    },
    async turn() {
      const client = await pool.connect()
      try {
        await client.query(sleepTurn)
      } finally {
        client.release()
      }
    },
    async select(id) {
      const { rows } = await run<{ note: string }>(pool, selectItem, [id])
      return rows[0]?.note
    },
    transaction: (statements) =>
      inTransaction('begin', async (client) => {
        for (let id = 1; id <= statements; id++) await run(client, updateItem, [id, noteOf(id)])
      }),
    insert: (row) => run(pool, insertRow, [...row]),
    // It has no batches: what people write is a transaction.
    insertBatch: (rows) =>
      inTransaction('begin', async (client) => {
        for (const row of rows) await run(client, insertRow, [...row])
      }),
    async copyIn(rows) {
      const client = await pool.connect()
      try {
        await pipeline(Readable.from(copyLines(rows)), client.query(copyFrom(copyRows)))
      } finally {
        client.release()
      }
    },
    async stream(count) {
      const client = await pool.connect()
      try {
        let sum = 0
        for await (const { n } of client.query(new QueryStream(manyRows, [count]))) sum += n
        return sum
      } finally {
        client.release()
      }
    },
    ...readingHere(async (table) => (await run<NumberedRow>(pool, `select * from ${table}`, [])).rows),
    async coldSelect(id) {
      const cold = open()
      const { rows } = await run<{ note: string }>(cold, selectItem, [id])
      await cold.end()
      return rows[0]?.note
    },
    async lock() {
      const client = await pool.connect()
      try {
        await run(client, lock, [lockKey])
        await run(client, unlock, [lockKey])
      } finally {
        client.release()
      }
    },
    async increment() {
      for (;;) {
        try {
          await inTransaction('begin isolation level serializable', async (client) => {
            const { rows } = await run<{ value: number }>(client, readCounter, [1])
            await run(client, writeCounter, [1, (rows[0]?.value ?? 0) + 1])
          })
          return
        } catch (error) {
          if (!isConflict(error)) throw error
        }
      }
    },
    end: () => pool.end(),
  }
}
