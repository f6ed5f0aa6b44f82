import type pg from 'pg'
import type { Pay } from './pay.js'

/** WRONG. When COMMIT throws, nobody knows whether it was done. Whoever tries again may pay twice. */
export const payNaively: Pay<pg.Pool> = async (pool, orderId, cents) => {
  const client = await pool.connect()
  // Without it a connection that is cut ends the process.
  client.on('error', () => undefined)
  try {
    await client.query('begin')
    await client.query('insert into payment (order_id, cents) values ($1, $2)', [orderId, cents])
    await client.query('commit')
    client.release()
  } catch (error) {
    client.release(true)
    throw error
  }
}
