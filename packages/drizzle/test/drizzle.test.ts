import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { type ExtractTablesWithRelations, relations } from 'drizzle-orm'
import type { NodePgDatabase, NodePgTransaction } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { afterAll, expect, expectTypeOf, test } from 'vitest'
import * as adapter from '../src/index.js'
import { adapterSuite, setup, tables } from './suite.js'

const database = useDatabase({ setup })
const { item, part } = tables()
const schema = {
  item,
  part,
  itemRelations: relations(item, ({ many }) => ({ parts: many(part) })),
  partRelations: relations(part, ({ one }) => ({ item: one(item, { fields: [part.itemId], references: [item.id] }) })),
}
const pools: adapter.Pool[] = []
afterAll(() => Promise.all(pools.map((pool) => pool.end())))

adapterSuite(adapter, database)

test('relational queries', async () => {
  const pool = adapter.createPool({ connectionString: database.url, max: 2 })
  pools.push(pool)
  const db = adapter.drizzle(pool, { schema, logger: false })
  await adapter
    .withTransaction(db, async (tx) => {
      await tx.insert(item).values({ id: 100, name: 'lamp' })
      await db.insert(part).values([
        { id: 1, itemId: 100 },
        { id: 2, itemId: 100 },
      ])
      expect(await tx.query.item.findMany({ with: { parts: true } })).toEqual([
        {
          id: 100,
          name: 'lamp',
          version: 1,
          parts: [
            { id: 1, itemId: 100 },
            { id: 2, itemId: 100 },
          ],
        },
      ])
      tx.rollback()
    })
    .catch((error: Error) => expect(error.constructor.name).toBe('TransactionRollbackError'))
  expect(await db.query.item.findFirst()).toBeUndefined()
})

test('takes the options of this version of Drizzle, and no others', () => {
  const pool = adapter.createPool({ connectionString: database.url })
  pools.push(pool)
  expectTypeOf<keyof adapter.DrizzleOptions>().toEqualTypeOf<'schema' | 'casing' | 'logger' | 'cache'>()
  expect(adapter.drizzle(pool, { schema, casing: 'snake_case', logger: false }).query.item).toBeDefined()
  expect(() => adapter.drizzle(pool, { relations: {} } as object)).toThrow(/^relations is not an option here/)
})

test("types are Drizzle's own", () => {
  const pool = adapter.createPool({ connectionString: database.url })
  pools.push(pool)
  const db = adapter.drizzle(pool, { schema })
  expectTypeOf(db).toExtend<NodePgDatabase<typeof schema>>()
  expectTypeOf(db.$client).toEqualTypeOf<pg.Pool>()
  expectTypeOf(adapter.drizzle(pool)).toExtend<NodePgDatabase>()
  type Tx = NodePgTransaction<typeof schema, ExtractTablesWithRelations<typeof schema>>
  expectTypeOf<Parameters<Tx['transaction']>[0]>().returns.toEqualTypeOf<Promise<unknown>>()
  const typed = (): Promise<number> =>
    adapter.withTransaction(db, async (tx, core) => {
      expectTypeOf(tx.query.item.findFirst()).resolves.toEqualTypeOf<typeof item.$inferSelect | undefined>()
      expectTypeOf(core).toEqualTypeOf<adapter.Transaction>()
      // @ts-expect-error there is no such column
      tx.insert(item).values({ id: 1, name: 'a', nonsense: 1 })
      return await adapter.withTransaction(tx, async (inner) => (await inner.select().from(item)).length)
    })
  const versioned = () => adapter.updateVersioned(db, item, { id: 1, version: 1 }, { name: 'a' })
  expectTypeOf(versioned).returns.resolves.toEqualTypeOf<typeof item.$inferSelect>()
  // @ts-expect-error the version that was read is missing
  const unversioned = () => adapter.updateVersioned(db, item, { id: 1 }, { name: 'a' })
  // @ts-expect-error a column has its own type
  const mistyped = () => adapter.updateVersioned(db, item, { id: 1, version: 1 }, { name: 1 })
  const renamed = () =>
    adapter.updateVersioned(db, item, { id: 1, name: 'a' }, { version: 3 }, { versionColumn: 'id', timeoutMs: 500 })
  // @ts-expect-error the version counts itself up
  const counted = () => adapter.updateVersioned(db, item, { id: 1, version: 1 }, { version: 2 })
  // @ts-expect-error the version that was read is missing
  const other = () => adapter.updateVersioned(db, item, { version: 1 }, { name: 'a' }, { versionColumn: 'id' })
  expect([typed, versioned, unversioned, mistyped, renamed, counted, other]).toHaveLength(7)
  expect(db.$client).toBeInstanceOf(pg.Pool)
})
