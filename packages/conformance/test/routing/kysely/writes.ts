import { sql } from 'kysely'
import { primary } from './database.js'

/** Everything that changes something or locks it, as it is built. */
export const writes = [
  primary('an insert', (db) => db.insertInto('item').values({ id: 100, name: 'a' }).execute()),
  primary('an insert that returns', (db) =>
    db
      .insertInto('item')
      .values([
        { id: 101, name: 'b' },
        { id: 102, name: 'c' },
      ])
      .returningAll()
      .execute(),
  ),
  primary('an upsert', (db) =>
    db
      .insertInto('item')
      .values({ id: 100, name: 'a' })
      .onConflict((oc) => oc.column('id').doUpdateSet((eb) => ({ name: eb.ref('excluded.name') })))
      .returning('id')
      .execute(),
  ),
  primary('an insert that may do nothing', (db) =>
    db
      .insertInto('item')
      .values({ id: 100, name: 'a' })
      .onConflict((oc) => oc.doNothing())
      .execute(),
  ),
  primary('an insert of a select', (db) =>
    db
      .insertInto('visit')
      .columns(['id'])
      .expression((eb) => eb.selectFrom('item').select('id'))
      .execute(),
  ),
  primary('an insert of a call', (db) =>
    db.insertInto('part').values({ id: sql<number>`take_number()`, item_id: 1 }).execute(),
  ),
  primary('an update', (db) => db.updateTable('item').set({ name: 'b' }).where('id', '=', 100).executeTakeFirst()),
  primary('an update from another table', (db) =>
    db
      .updateTable('item as i')
      .from('part as p')
      .set((eb) => ({ stock: eb('i.stock', '+', 1) }))
      .whereRef('p.item_id', '=', 'i.id')
      .returning('i.id')
      .execute(),
  ),
  primary('an update of a column that is called as a keyword', (db) =>
    db.updateTable('keyword').set({ update: 'select' }).where('order', '=', 1).execute(),
  ),
  primary('a delete', (db) => db.deleteFrom('item').where('id', '=', 101).execute()),
  primary('a delete that uses another table and returns', (db) =>
    db
      .deleteFrom('part')
      .using('item')
      .whereRef('part.item_id', '=', 'item.id')
      .where('item.id', '=', 102)
      .returning('part.id')
      .execute(),
  ),
  primary('a merge', (db) =>
    db
      .mergeInto('item as i')
      .using('part as p', (join) => join.onRef('p.item_id', '=', 'i.id').on('p.id', '=', 1))
      .whenMatched()
      .thenUpdateSet({ name: 'merged' })
      .executeTakeFirst(),
  ),
  primary('a CTE that inserts', (db) =>
    db
      .with('made', (qb) => qb.insertInto('item').values({ id: 103, name: 'd' }).returning('id'))
      .selectFrom('made')
      .selectAll()
      .execute(),
  ),
  primary('a CTE that updates, after one that reads', (db) =>
    db
      .with('few', (qb) => qb.selectFrom('item').select('id').where('stock', '<', 1))
      .with('changed', (qb) => qb.updateTable('item').set({ stock: 1 }).where('id', '=', 103).returning('id'))
      .selectFrom('few')
      .selectAll()
      .execute(),
  ),
  primary('a CTE that deletes and is not read', (db) =>
    db
      .with('gone', (qb) => qb.deleteFrom('item').where('id', '=', 103))
      .selectFrom('item')
      .select('id')
      .execute(),
  ),
  primary('a CTE that locks', (db) =>
    db
      .with('next', (qb) => qb.selectFrom('item').select('id').limit(1).forUpdate().skipLocked())
      .selectFrom('next')
      .selectAll()
      .execute(),
  ),
  primary('a CTE in front of an update', (db) =>
    db
      .with('few', (qb) => qb.selectFrom('item').select('id').where('id', '=', 100))
      .updateTable('item')
      .from('few')
      .set({ stock: 2 })
      .whereRef('item.id', '=', 'few.id')
      .execute(),
  ),
  primary('for update', (db) => db.selectFrom('item').selectAll().where('id', '=', 1).forUpdate().execute()),
  primary('for update of one of two tables', (db) =>
    db.selectFrom('item as i').innerJoin('part as p', 'p.item_id', 'i.id').select('i.id').forUpdate('p').execute(),
  ),
  primary('for share, skip locked', (db) => db.selectFrom('item').select('id').forShare().skipLocked().execute()),
  primary('for no key update, nowait', (db) => db.selectFrom('item').select('id').forNoKeyUpdate().noWait().execute()),
  primary('for key share', (db) => db.selectFrom('item').select('id').forKeyShare().execute()),
  primary('a lock in a subquery', (db) =>
    db
      .selectFrom((eb) => eb.selectFrom('item').select('id').forUpdate().as('locked'))
      .selectAll()
      .execute(),
  ),
  primary('a lock in a condition', (db) =>
    db
      .selectFrom('part')
      .selectAll()
      .where('item_id', 'in', (eb) => eb.selectFrom('item').select('id').where('id', '=', 1).forShare())
      .execute(),
  ),
  primary('a lock in a fragment at the end', (db) =>
    db.selectFrom('item').select('id').modifyEnd(sql`for update`).execute(),
  ),
  primary(
    'a transaction that only reads',
    (db) => db.transaction().execute((trx) => trx.selectFrom('item').selectAll().execute()),
    'everything of a transaction belongs to its connection',
  ),
  primary('a transaction that writes', (db) =>
    db.transaction().execute(async (trx) => {
      await trx.selectFrom('item').selectAll().execute()
      await trx.updateTable('item').set({ name: 'in' }).where('id', '=', 100).execute()
    }),
  ),
  primary('a stream of rows that it locks', async (db) => {
    const rows: unknown[] = []
    for await (const row of db.selectFrom('item').selectAll().forUpdate().stream(2)) rows.push(row)
    return rows
  }),
  primary('explain', (db) => db.selectFrom('item').selectAll().explain(), 'explain analyze runs what it explains'),
  primary('a table, made and dropped', async (db) => {
    await db.schema.createTable('by_kysely').addColumn('id', 'integer').execute()
    await db.schema.dropTable('by_kysely').execute()
  }),
  primary('a look at the tables', (db) => db.introspection.getTables(), 'the catalog is read by its pg_ names'),
]
