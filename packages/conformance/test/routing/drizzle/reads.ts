import { and, asc, count, countDistinct, desc, eq, exists, gt, ilike, inArray, max, not, or, sql } from 'drizzle-orm'
import { alias, except, intersect, union, unionAll } from 'drizzle-orm/pg-core'
import { item, keyword, part, popular, replica, stocked } from './database.js'

/** Reads that are built. */
export const reads = [
  replica('all columns', (db) => db.select().from(item)),
  replica('one row', (db) => db.select().from(item).where(eq(item.id, 1)).limit(1)),
  replica('a value that says delete', (db) =>
    db.select({ id: item.id }).from(item).where(eq(item.name, 'x; delete from item for update')),
  ),
  replica('columns that are called as keywords', (db) => db.select().from(keyword).orderBy(keyword.order)),
  replica('an alias that is called as a keyword', (db) => {
    const insert = alias(item, 'insert')
    return db.select({ id: insert.id }).from(insert)
  }),
  replica('conditions', (db) =>
    db
      .select({ id: item.id })
      .from(item)
      .where(or(inArray(item.stock, [1, 2]), and(ilike(item.name, '%m 1'), not(gt(item.id, 9))))),
  ),
  replica('an inner and a left join', (db) =>
    db.select().from(item).innerJoin(part, eq(part.itemId, item.id)).leftJoin(stocked, eq(stocked.id, item.id)),
  ),
  replica('a full and a right join', (db) =>
    db
      .select({ id: item.id })
      .from(item)
      .fullJoin(part, eq(part.itemId, item.id))
      .rightJoin(stocked, eq(stocked.id, item.id)),
  ),
  replica('a lateral join', (db) => {
    const first = db.select({ p: part.id }).from(part).where(eq(part.itemId, item.id)).limit(1).as('first')
    return db.select({ id: item.id, p: first.p }).from(item).leftJoinLateral(first, sql`true`)
  }),
  replica('a cross join', (db) => db.select({ id: item.id }).from(item).crossJoin(part)),
  replica('a subquery in from', (db) => {
    const few = db.select().from(item).where(gt(item.stock, 0)).as('few')
    return db.select({ id: few.id }).from(few)
  }),
  replica('a subquery in where', (db) =>
    db
      .select()
      .from(item)
      .where(inArray(item.id, db.select({ id: part.itemId }).from(part))),
  ),
  replica('exists', (db) =>
    db
      .select()
      .from(item)
      .where(exists(db.select().from(part).where(eq(part.itemId, item.id)))),
  ),
  replica('aggregates', (db) =>
    db
      .select({ stock: item.stock, n: count(), distinct: countDistinct(item.name), max: max(item.id) })
      .from(item)
      .groupBy(item.stock)
      .having(gt(count(), 0)),
  ),
  replica('$count', (db) => db.$count(item, gt(item.stock, 0))),
  replica('$count in a select', (db) =>
    db.select({ id: item.id, n: db.$count(part, eq(part.itemId, item.id)) }).from(item),
  ),
  replica('distinct', (db) => db.selectDistinct({ stock: item.stock }).from(item)),
  replica('distinct on', (db) =>
    db.selectDistinctOn([item.stock], { id: item.id }).from(item).orderBy(item.stock, asc(item.id)),
  ),
  replica('a page', (db) => db.select().from(item).orderBy(desc(item.id)).limit(2).offset(1)),
  replica('union', (db) => union(db.select({ id: item.id }).from(item), db.select({ id: part.itemId }).from(part))),
  replica('union all, intersect and except', (db) =>
    except(
      intersect(
        unionAll(db.select({ id: item.id }).from(item), db.select({ id: part.id }).from(part)),
        db.select({ id: item.id }).from(item),
      ),
      db.select({ id: part.itemId }).from(part),
    ).orderBy(sql`1`),
  ),
  replica('a set operation as a method', (db) =>
    db
      .select({ id: item.id })
      .from(item)
      .unionAll(db.select({ id: part.id }).from(part))
      .limit(3),
  ),
  replica('a CTE', (db) => {
    const few = db.$with('few').as(db.select().from(item).where(gt(item.stock, 0)))
    return db.with(few).select({ id: few.id }).from(few)
  }),
  replica('a CTE that uses another', (db) => {
    const few = db.$with('few').as(db.select({ id: item.id }).from(item))
    const fewer = db.$with('fewer').as(db.select({ id: few.id }).from(few).limit(1))
    return db.with(few, fewer).select().from(fewer)
  }),
  replica('a prepared query', (db) =>
    db
      .select()
      .from(item)
      .where(eq(item.id, sql.placeholder('id')))
      .prepare('item_by_id')
      .execute({ id: 1 }),
  ),
  replica('a view', (db) => db.select().from(stocked)),
  replica('a materialized view', (db) => db.select().from(popular)),
  replica('rows with what belongs to them', (db) => db.query.item.findMany({ with: { parts: true } })),
  replica('the first row, with some columns', (db) => db.query.item.findFirst({ columns: { id: true, name: true } })),
  replica('a row and what it belongs to, in pages', (db) =>
    db.query.part.findMany({ with: { item: { columns: { name: true } } }, limit: 2, offset: 1 }),
  ),
  replica('relations of relations', (db) =>
    db.query.item.findMany({ with: { parts: { columns: { id: true }, with: { item: { with: { parts: true } } } } } }),
  ),
]
