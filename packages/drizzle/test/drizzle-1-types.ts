import { defineRelations } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { expectTypeOf } from 'vitest'
import { createPool, type DrizzleOptions, drizzle, updateVersioned, withTransaction } from '../src/index.js'

// Compiled against Drizzle 1.0 (tsconfig.drizzle-1.json), never run.
const item = pgTable('item', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  version: integer('version').notNull(),
})
const relations = defineRelations({ item })
const pool = createPool()
const db = drizzle(pool, { relations })
// What drizzle() lets through at run time is the same list.
expectTypeOf<keyof DrizzleOptions>().toEqualTypeOf<
  'relations' | 'codecs' | 'jit' | 'paramsInErrors' | 'logger' | 'cache'
>()
expectTypeOf(db).toExtend<NodePgDatabase<typeof relations>>()
expectTypeOf(drizzle(pool)).toExtend<NodePgDatabase>()
expectTypeOf(
  withTransaction(db, async (tx) => {
    expectTypeOf(tx.query.item.findFirst()).resolves.toEqualTypeOf<typeof item.$inferSelect | undefined>()
    // @ts-expect-error there is no such column
    tx.insert(item).values({ id: 1, name: 'a', nonsense: 1 })
    return await withTransaction(tx, async (inner) => (await inner.select().from(item)).length)
  }),
).resolves.toEqualTypeOf<number>()
expectTypeOf(updateVersioned(db, item, { id: 1, version: 1 }, { name: 'a' })).resolves.toEqualTypeOf<
  typeof item.$inferSelect
>()
