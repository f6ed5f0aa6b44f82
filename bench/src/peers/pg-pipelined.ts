import pg from 'pg'
import type { Peer } from '../peer.js'
import { lock, lockKey, noteOf, selectItem, sleepTurn, unlock, updateItem } from '../sql.js'

/**
 * The limit of the driver: bare clients, named statements, nothing waits for an answer, and every connection belongs to
 * whoever writes to it next. No pool works like this; it shows what there is to gain.
 */
export const openPgPipelined: Peer['open'] = async (url, connections) => {
  const clients = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new pg.Client({ connectionString: url, pipeline: true } as pg.ClientConfig)
      await client.connect()
      return client
    }),
  )
  let turn = 0
  const next = (): pg.Client => {
    turn = (turn + 1) % clients.length
    const client = clients[turn]
    if (client === undefined) throw new Error('bug: no client')
    return client
  }
  return {
    turn: () => next().query(sleepTurn),
    async select(id) {
      const { rows } = await next().query<{ note: string }>({ name: 'item', text: selectItem, values: [id] })
      return rows[0]?.note
    },
    async transaction(statements) {
      const client = next()
      const answers = [client.query('begin')]
      for (let id = 1; id <= statements; id++) {
        answers.push(client.query({ name: 'update', text: updateItem, values: [id, noteOf(id)] }))
      }
      await Promise.all([...answers, client.query('commit')])
    },
    async lock() {
      const client = next()
      await Promise.all([
        client.query({ name: 'lock', text: lock, values: [lockKey] }),
        client.query({ name: 'unlock', text: unlock, values: [lockKey] }),
      ])
    },
    end: () => Promise.all(clients.map((client) => client.end())),
  }
}
