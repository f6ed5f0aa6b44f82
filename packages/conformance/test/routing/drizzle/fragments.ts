import { eq, type SQL, sql } from 'drizzle-orm'
import { type Db, item, keyword, numbering, part, primary, replica } from './database.js'

const one = (value: SQL) => (db: Db) => db.select({ x: value }).from(item).limit(1)
const run = (text: SQL) => (db: Db) => db.execute(text)

/** Queries with pieces of SQL in them, or made of one. */
export const fragments = [
  replica('a fragment in select', one(sql`lower(${item.name}) || ${'delete'}`)),
  replica('a fragment with a string that says update', one(sql`'update item' || ${item.name}`)),
  replica('a fragment with a comment', one(sql`/* insert into item */ ${item.stock} + 1`)),
  replica('a fragment with an aggregate that filters', one(sql`count(*) filter (where ${item.stock} > 0)`)),
  replica('a window function', one(sql`row_number() over (partition by ${item.stock} order by ${item.id})`)),
  replica('a function that is vouched for', one(sql`price_of(${item.id})`)),
  replica(
    'case and cast',
    one(sql`case when ${item.stock} > 1 then 'much' else cast(${item.stock} as varchar(9)) end`),
  ),
  replica('a subquery in a fragment', one(sql`(select count(*) from ${part} where ${part.itemId} = ${item.id})`)),
  replica('a fragment in where and order', (db) =>
    db.select({ id: item.id }).from(item).where(sql`${item.stock} % 2 = ${1}`).orderBy(sql`random()`),
  ),
  replica('a fragment in from', (db) => db.select({ n: sql<number>`n` }).from(sql`generate_series(1, ${3}) as t(n)`)),
  replica('grouping in a fragment', (db) =>
    db.select({ n: sql<number>`count(*)` }).from(item).groupBy(sql`rollup (${item.stock})`),
  ),
  replica('SQL with names and values', run(sql`select ${item.name} from ${item} where ${item.id} = ${1}`)),
  replica('SQL with a list', run(sql`select id from item where id in ${[1, 2, 3]}`)),
  replica('SQL with a name that is a keyword', run(sql`select ${sql.identifier('update')} from ${keyword}`)),
  replica(
    'SQL of a recursive CTE',
    run(sql`with recursive t(n) as (select 1 union all select n + 1 from t where n < ${4}) select n from t`),
  ),
  replica(
    'SQL of a lateral join',
    run(sql`select * from item i, lateral (select id from part p where p.item_id = i.id) l`),
  ),
  primary('nextval in select', one(sql`nextval('ticket_number')`)),
  primary('a volatile function of the user', one(sql`take_number()`)),
  primary('a volatile function in order', (db) => db.select({ id: item.id }).from(item).orderBy(sql`take_number()`)),
  primary('a lock in where', (db) => db.select().from(item).where(sql`pg_try_advisory_xact_lock(${item.id})`)),
  primary('a lock in a join', (db) =>
    db.select({ id: item.id }).from(item).innerJoin(part, sql`pg_advisory_xact_lock_shared(${part.id}) is not null`),
  ),
  primary('a setting', one(sql`set_config('shop.tenant', ${'7'}, true)`)),
  primary('pg_notify', one(sql`pg_notify('shop', ${'x'})`)),
  primary('a name that is inserted as SQL', run(sql`select ${sql.raw('nextval')}('ticket_number')`)),
  primary('SQL of a write with values', run(sql`update ${item} set name = ${'x'} where ${eq(item.id, 100)}`)),
  primary(
    'SQL of a CTE that writes',
    run(sql`with w as (delete from part where id = ${-1} returning id) select * from w`),
  ),
  primary('SQL of a lock', run(sql`select * from ${item} where id = ${1} for update nowait`)),
  primary('SQL into a table', run(sql`select id into temporary copied from ${item}`)),
  primary(
    'SQL of a merge',
    run(
      sql`merge into item i using part p on p.item_id = i.id and p.id = ${1} when matched then update set name = ${'m'}`,
    ),
  ),
  primary('a view that is to stay', (db) => db.select().from(numbering), 'named in primaryOnly'),
]
