import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { boolean, integer, pgMaterializedView, pgTable, pgView, text } from 'drizzle-orm/pg-core'
import { routes } from '../../../src/index.js'

export const item = pgTable('item', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  stock: integer('stock').notNull().default(0),
  version: integer('version').notNull().default(1),
})
export const part = pgTable('part', { id: integer('id').primaryKey(), itemId: integer('item_id').notNull() })
export const visit = pgTable('visit', { id: integer('id').primaryKey() })
export const keyword = pgTable('keyword', {
  order: integer('order').primaryKey(),
  update: text('update'),
  delete: boolean('delete'),
  for: text('for'),
  into: integer('into'),
})
const named = { id: integer('id'), name: text('name') }
export const stocked = pgView('stocked', named).existing()
export const numbering = pgView('numbering', { number: integer('number') }).existing()
export const popular = pgMaterializedView('popular', { itemId: integer('item_id') }).existing()

/** A query by relations, in the form that both majors understand. */
interface Related {
  findMany(options?: object): Promise<readonly object[]>
  findFirst(options?: object): Promise<object | undefined>
}

/** A database of either major, with the relations of `item` and `part`. */
export type Db = Omit<NodePgDatabase, 'query'> & { readonly query: { readonly item: Related; readonly part: Related } }

export const { replica, primary } = routes<Db>()
