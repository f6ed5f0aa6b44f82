import { drizzle } from '@pg-lifeguard/drizzle'
import { relations } from 'drizzle-orm'
import { type Db, item, part } from './drizzle/database.js'
import { drizzleSuite } from './drizzle/suite.js'

const schema = {
  item,
  part,
  itemRelations: relations(item, ({ many }) => ({ parts: many(part) })),
  partRelations: relations(part, ({ one }) => ({ item: one(item, { fields: [part.itemId], references: [item.id] }) })),
}

// The corpus is typed without a schema, as it is for both majors.
drizzleSuite((pool) => drizzle(pool, { schema }) as unknown as Db)
