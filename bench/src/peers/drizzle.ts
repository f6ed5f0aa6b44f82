import { createPool, drizzle } from '@pg-lifeguard/drizzle'
import { eq } from 'drizzle-orm'
import { type NodePgDatabase, drizzle as stockDrizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import type { Session } from '../peer.js'
import { noteOf } from '../sql.js'

const item = pgTable('item', { id: integer('id').primaryKey(), note: text('note').notNull() })

export function onLifeguard(url: string, connections: number): Session {
  const pool = createPool({ connectionString: url, max: connections })
  return sessionOn(drizzle(pool), () => pool.end())
}

export function onStockDriver(url: string, connections: number): Session {
  const pool = new pg.Pool({ connectionString: url, max: connections })
  return sessionOn(stockDrizzle({ client: pool }), () => pool.end())
}

/** A client that knows the answer, which Drizzle asks for as arrays. */
export function alone(): Session {
  const client = {
    query: async (_: unknown, [id]: readonly unknown[]) => ({ rows: [[id, noteOf(id)]] }),
  }
  return sessionOn(stockDrizzle({ client: client as unknown as pg.Client }), async () => undefined)
}

function sessionOn(db: NodePgDatabase, end: () => Promise<unknown>): Session {
  return {
    async select(id) {
      const [row] = await db.select().from(item).where(eq(item.id, id))
      return row?.note
    },
    end,
  }
}
