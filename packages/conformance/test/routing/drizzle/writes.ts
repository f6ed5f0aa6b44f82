import { eq, gt, sql } from 'drizzle-orm'
import { item, keyword, part, popular, primary, visit } from './database.js'

/** Everything that changes something or locks it, as it is built. */
export const writes = [
  primary('an insert', (db) => db.insert(item).values({ id: 100, name: 'a' })),
  primary('an insert that returns', (db) =>
    db
      .insert(item)
      .values([
        { id: 101, name: 'b' },
        { id: 102, name: 'c' },
      ])
      .returning(),
  ),
  primary('an upsert', (db) =>
    db
      .insert(item)
      .values({ id: 100, name: 'a' })
      .onConflictDoUpdate({ target: item.id, set: { name: sql`excluded.name` } })
      .returning({ id: item.id }),
  ),
  primary('an insert that may do nothing', (db) =>
    db.insert(item).values({ id: 100, name: 'a' }).onConflictDoNothing(),
  ),
  primary('an insert of a select', (db) => db.insert(visit).select(db.select({ id: item.id }).from(item))),
  primary('an insert of a call', (db) => db.insert(part).values({ id: sql`take_number()`, itemId: 1 })),
  primary('an update', (db) => db.update(item).set({ name: 'b' }).where(eq(item.id, 100))),
  primary('an update from another table that returns', (db) =>
    db
      .update(item)
      .set({ stock: sql`${item.stock} + 1` })
      .from(part)
      .where(eq(part.itemId, item.id))
      .returning({ id: item.id }),
  ),
  primary('an update of a column that is called as a keyword', (db) =>
    db.update(keyword).set({ update: 'select' }).where(eq(keyword.order, 1)),
  ),
  primary('a delete', (db) => db.delete(item).where(eq(item.id, 101))),
  primary('a delete that returns', (db) => db.delete(item).where(eq(item.id, 102)).returning()),
  primary('a prepared update', (db) =>
    db
      .update(item)
      .set({ name: 'prepared' })
      .where(eq(item.id, sql.placeholder('id')))
      .prepare('rename_item')
      .execute({ id: 100 }),
  ),
  primary('a CTE that inserts', (db) => {
    const made = db.$with('made').as(db.insert(item).values({ id: 103, name: 'd' }).returning({ id: item.id }))
    return db.with(made).select().from(made)
  }),
  primary('a CTE that updates, after one that reads', (db) => {
    const few = db.$with('few').as(db.select({ id: item.id }).from(item).where(gt(item.stock, 0)))
    const changed = db
      .$with('changed')
      .as(db.update(item).set({ stock: 1 }).where(eq(item.id, 103)).returning({ id: item.id }))
    return db.with(few, changed).select().from(few)
  }),
  primary('a CTE that deletes', (db) => {
    const gone = db.$with('gone').as(db.delete(item).where(eq(item.id, 103)).returning())
    return db.with(gone).select({ id: gone.id }).from(gone)
  }),
  primary('a CTE in front of an insert', (db) => {
    const next = db.$with('next').as(db.select({ id: sql<number>`max(${item.id}) + 1`.as('id') }).from(item))
    return db
      .with(next)
      .insert(item)
      .values({ id: sql`(select id from ${next})`, name: 'next' })
  }),
  primary('a CTE in front of an update', (db) => {
    const few = db.$with('few').as(db.select({ id: item.id }).from(item).where(eq(item.id, 100)))
    return db.with(few).update(item).set({ stock: 2 }).where(sql`${item.id} in (select id from ${few})`)
  }),
  primary('a CTE in front of a delete', (db) => {
    const few = db.$with('few').as(db.select({ id: item.id }).from(item).where(eq(item.id, -1)))
    return db.with(few).delete(item).where(sql`${item.id} in (select id from ${few})`)
  }),
  primary('a CTE that locks', (db) => {
    const next = db.$with('next').as(db.select({ id: item.id }).from(item).limit(1).for('update', { skipLocked: true }))
    return db.with(next).select().from(next)
  }),
  primary('for update', (db) => db.select().from(item).where(eq(item.id, 1)).for('update')),
  primary('for update of one of two tables', (db) =>
    db.select({ id: item.id }).from(item).innerJoin(part, eq(part.itemId, item.id)).for('update', { of: part }),
  ),
  primary('for share, skip locked', (db) => db.select().from(item).for('share', { skipLocked: true })),
  primary('for no key update, nowait', (db) => db.select().from(item).for('no key update', { noWait: true })),
  primary('for key share', (db) => db.select().from(item).for('key share')),
  primary('a lock in a subquery', (db) => {
    const locked = db.select().from(item).for('update').as('locked')
    return db.select({ id: locked.id }).from(locked)
  }),
  primary('a lock in a condition', (db) =>
    db
      .select()
      .from(part)
      .where(sql`${part.itemId} in ${db.select({ id: item.id }).from(item).for('share')}`),
  ),
  primary(
    'a transaction that only reads',
    (db) => db.transaction((tx) => tx.select().from(item)),
    'everything of a transaction belongs to its connection',
  ),
  primary('a transaction that writes', (db) =>
    db.transaction(async (tx) => {
      await tx.select().from(item)
      await tx.update(item).set({ name: 'in' }).where(eq(item.id, 100))
    }),
  ),
  primary('a materialized view, made anew', (db) => db.refreshMaterializedView(popular)),
]
