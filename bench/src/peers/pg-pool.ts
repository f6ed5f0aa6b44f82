import pg from 'pg'
import type { Peer, Session } from '../peer.js'
import { isConflict, lock, lockKey, readCounter, selectItem, unlock, updateItem, writeCounter } from '../sql.js'

/** As people use it: text and values, and transactions by hand. */
export const pgPool: Peer = {
  name: 'pg.Pool',
  open: (url, connections) => sessionOn(new pg.Pool({ connectionString: url, max: connections }), false),
}

/** The same with a name for every statement, so that the server parses and plans each only once for a connection. */
export const pgPoolNamed: Peer = {
  name: 'pg.Pool named',
  open(url, connections) {
    // A name makes no difference to acquiring a connection.
    const { acquireRelease: _, ...session } = sessionOn(new pg.Pool({ connectionString: url, max: connections }), true)
    return session
  },
}

function sessionOn(pool: pg.Pool, named: boolean): Session {
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
    async select(id) {
      const { rows } = await run<{ note: string }>(pool, selectItem, [id])
      return rows[0]?.note
    },
    transaction: (statements) =>
      inTransaction('begin', async (client) => {
        for (let id = 1; id <= statements; id++) await run(client, updateItem, [id, 'new'])
      }),
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
