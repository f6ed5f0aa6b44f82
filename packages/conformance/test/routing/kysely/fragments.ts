import { type RawBuilder, sql } from 'kysely'
import { type Db, primary, replica } from './database.js'

const one = (value: RawBuilder<unknown>) => (db: Db) => db.selectFrom('item').select(value.as('x')).limit(1).execute()
const run = (text: RawBuilder<unknown>) => (db: Db) => text.execute(db)

/** Queries with pieces of SQL in them, or made of one. */
export const fragments = [
  replica('a fragment in select', one(sql`lower(${sql.ref('name')}) || ${'delete'}`)),
  replica('a fragment with a string that says update', one(sql`'update item' || name`)),
  replica('a literal that says for update', one(sql.lit('for update; delete from item'))),
  replica('a fragment with a comment', one(sql`/* insert into item */ stock + 1`)),
  replica('a fragment in where and order', (db) =>
    db.selectFrom('item').select('id').where(sql<boolean>`stock % 2 = ${1}`).orderBy(sql`random()`).execute(),
  ),
  replica('a fragment in from', (db) =>
    db.selectFrom(sql<{ n: number }>`generate_series(1, ${3})`.as<'t'>(sql`t(n)`)).select('n').execute(),
  ),
  replica('values in from', (db) =>
    db.selectFrom(sql<{ a: number }>`(values (1), (2))`.as<'v'>(sql`v(a)`)).select('a').execute(),
  ),
  replica('SQL with names and values', run(sql`select ${sql.ref('name')} from ${sql.table('item')} where id = ${1}`)),
  replica('SQL with a list', run(sql`select id from item where id in (${sql.join([1, 2, 3])})`)),
  replica(
    'SQL with a name that is a keyword',
    run(sql`select ${sql.id('update')} from ${sql.id('public', 'keyword')}`),
  ),
  replica('SQL of a set operation', run(sql`select id from item union select item_id from part`)),
  replica(
    'SQL of a lateral join',
    run(sql`select * from item i, lateral (select id from part p where p.item_id = i.id) l`),
  ),
  primary('nextval in select', one(sql`nextval('ticket_number')`)),
  primary('nextval as a function', (db) =>
    db.selectNoFrom(({ fn, val }) => fn('nextval', [val('ticket_number')]).as('n')).execute(),
  ),
  primary('a volatile function of the user as a function', (db) =>
    db.selectNoFrom(({ fn }) => fn('take_number').as('n')).execute(),
  ),
  primary('a volatile function in order', (db) =>
    db.selectFrom('item').select('id').orderBy(sql`take_number()`).execute(),
  ),
  primary('a volatile function in a CTE', (db) =>
    db
      .with('n', (qb) => qb.selectNoFrom(sql<number>`take_number()`.as('n')))
      .selectFrom('n')
      .selectAll()
      .execute(),
  ),
  primary('a lock in where', (db) =>
    db.selectFrom('item').select('id').where(sql<boolean>`pg_try_advisory_xact_lock(id)`).execute(),
  ),
  primary('a lock as a function', (db) =>
    db.selectNoFrom(({ fn, val }) => fn('pg_advisory_xact_lock', [val(1)]).as('l')).execute(),
  ),
  primary(
    'a setting, and what is asked after it',
    (db) =>
      db.connection().execute(async (session) => {
        await sql`select set_config('shop.tenant', ${'7'}, false)`.execute(session)
        await session.selectFrom('item').selectAll().execute()
      }),
    'the session is kept, with its setting',
  ),
  primary('pg_notify', one(sql`pg_notify('shop', ${'x'})`)),
  primary('a name that is inserted as SQL', run(sql`select ${sql.raw('nextval')}('ticket_number')`)),
  primary('SQL of a write with values', run(sql`update ${sql.table('item')} set name = ${'x'} where id = ${100}`)),
  primary(
    'SQL of a CTE that writes',
    run(sql`with w as (delete from part where id = ${-1} returning id) select * from w`),
  ),
  primary('SQL of a lock', run(sql`select * from item where id = ${1} for update nowait`)),
  primary('SQL into a table', run(sql`select id into temporary copied from item`)),
  primary('a view that is to stay', (db) => db.selectFrom('numbering').selectAll().execute(), 'named in primaryOnly'),
]
