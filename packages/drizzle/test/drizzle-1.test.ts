import { useDatabase } from '@pg-lifeguard/testing/vitest'
import * as drizzleOrm1 from 'drizzle-orm-1'
import { NodePgDatabase } from 'drizzle-orm-1/node-postgres'
import { afterAll, expect, test, vi } from 'vitest'
import * as adapter from '../src/index.js'
import { adapterSuite, setup, tables } from './suite.js'

// Drizzle 1.0 in the place of 0.45, for the adapter and for the suite.
vi.mock('drizzle-orm', () => import('drizzle-orm-1'))
vi.mock('drizzle-orm/pg-core', () => import('drizzle-orm-1/pg-core'))
vi.mock('drizzle-orm/node-postgres', () => import('drizzle-orm-1/node-postgres'))

const database = useDatabase({ setup })
const pools: adapter.Pool[] = []
afterAll(() => Promise.all(pools.map((pool) => pool.end())))

adapterSuite(adapter, database)

test('is on Drizzle 1.0, with its relational queries', async () => {
  const { item, part } = tables()
  const relations = drizzleOrm1.defineRelations({ item, part } as never, (r: never) => describe(r))
  const pool = adapter.createPool({ connectionString: database.url, max: 2 })
  pools.push(pool)
  const db = adapter.drizzle(pool, { relations } as never)
  expect(db).toBeInstanceOf(NodePgDatabase)
  const seen = await adapter
    .withTransaction(db, async (tx) => {
      await tx.insert(item).values({ id: 100, name: 'lamp' })
      await db.insert(part).values({ id: 1, itemId: 100 })
      const { query } = tx as unknown as { query: { item: { findMany(options: object): Promise<unknown> } } }
      throw Object.assign(new Error('seen'), { rows: await query.item.findMany({ with: { parts: true } }) })
    })
    .catch((error: { rows: unknown }) => error.rows)
  expect(seen).toEqual([{ id: 100, name: 'lamp', version: 1, parts: [{ id: 1, itemId: 100 }] }])
  expect(await db.$count(item)).toBe(0)
})

test('takes the options of this version of Drizzle, and no others', () => {
  const pool = adapter.createPool({ connectionString: database.url })
  pools.push(pool)
  expect(() => adapter.drizzle(pool, { schema: {} } as never)).toThrow(/^schema is not an option here/)
})

interface Relating {
  readonly item: { readonly id: unknown }
  readonly part: { readonly itemId: unknown }
  readonly many: { part(how: { readonly from: unknown; readonly to: unknown }): unknown }
}

function describe(r: never): never {
  const { many, item, part } = r as Relating
  return { item: { parts: many.part({ from: item.id, to: part.itemId }) } } as never
}
