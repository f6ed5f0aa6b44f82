import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core'

/** The tables of all demos, as Drizzle wants to know them. */
const id = () => integer('id').primaryKey().generatedAlwaysAsIdentity()

export const event = pgTable('event', {
  id: id(),
  tickets: integer('tickets').notNull(),
  version: integer('version').notNull().default(0),
})
export const ticket = pgTable('ticket', {
  id: id(),
  eventId: integer('event_id').notNull(),
  buyer: integer('buyer').notNull(),
})
export const stockMovement = pgTable('stock_movement', {
  id: id(),
  item: text('item').notNull(),
  amount: integer('amount').notNull(),
})
export const note = pgTable('note', { id: integer('id').primaryKey(), body: text('body').notNull() })
export const report = pgTable('report', {
  name: text('name').primaryKey(),
  body: text('body').notNull(),
  timeline: integer('timeline').notNull(),
  xid: bigint('xid', { mode: 'bigint' }).notNull(),
})
export const payment = pgTable('payment', {
  id: id(),
  orderId: integer('order_id').notNull(),
  cents: integer('cents').notNull(),
})
export const contact = pgTable('contact', {
  id: id(),
  tenantId: integer('tenant_id').notNull(),
  name: text('name').notNull(),
})
