import { Prisma } from '../../../generated/prisma/client.js'
import { type Db, primary, replica } from './database.js'

const query = (text: Prisma.Sql) => (db: Db) => db.$queryRaw(text)
const execute = (text: Prisma.Sql) => (db: Db) => db.$executeRaw(text)
const { sql } = Prisma

/** Queries that are SQL. */
export const fragments = [
  replica('$queryRaw', (db) => db.$queryRaw`select id, name from item where id = ${1}`),
  replica('$queryRaw with a list', query(sql`select id from item where id in (${Prisma.join([1, 2, 3])})`)),
  replica('$queryRaw with a piece inside', query(sql`select id from item ${sql`where stock > ${0}`} ${Prisma.empty}`)),
  replica('$queryRaw with SQL inside', query(sql`select id from ${Prisma.raw('"item"')} order by id`)),
  replica('$queryRaw with a value that says update', query(sql`select ${'update item; for update'}::text as word`)),
  replica(
    '$queryRaw with a comment and a string',
    query(sql`select 'delete from item' as word /* insert into item */`),
  ),
  replica('$queryRaw of keywords', query(sql`select "update", "for" from keyword where "delete" = ${false}`)),
  replica(
    '$queryRaw of a CTE',
    query(sql`with few as (select id from item where stock < ${2}) select count(*) from few`),
  ),
  replica(
    '$queryRaw of a recursive CTE',
    query(sql`with recursive t(n) as (select 1 union all select n + 1 from t where n < ${4}) select n from t`),
  ),
  replica('$queryRaw of a set operation', query(sql`select id from item except select item_id from part`)),
  replica('$queryRaw of a window', query(sql`select id, rank() over (partition by stock order by id) from item`)),
  replica(
    '$queryRaw of a lateral join',
    query(
      sql`select i.id, l.n from item i left join lateral (select count(*) as n from part where item_id = i.id) l on true`,
    ),
  ),
  replica('$queryRaw of a function that is vouched for', query(sql`select price_of(${1}::int) as price`)),
  replica('$queryRaw of a view', query(sql`select id from stocked`)),
  replica('$queryRawUnsafe', (db) => db.$queryRawUnsafe('select id from item where id = $1', 1)),
  replica('$executeRaw of a select', execute(sql`select id from item`), 'it reads, whatever it is sent by'),
  primary('$executeRaw', (db) => db.$executeRaw`update item set stock = stock where id = ${1}`),
  primary('$executeRawUnsafe', (db) => db.$executeRawUnsafe('delete from item where id = $1', -1)),
  primary(
    '$queryRaw of an insert that returns',
    query(sql`insert into item (id, name) values (${300}, 'raw') returning id`),
  ),
  primary(
    '$queryRaw with a write inside',
    query(sql`${Prisma.raw('delete from')} item where id = ${300} returning id`),
  ),
  primary(
    '$queryRaw of a CTE that writes',
    query(sql`with gone as (delete from part where id = ${-1} returning id) select id from gone`),
  ),
  primary(
    '$queryRaw of a merge',
    query(
      sql`merge into item i using part p on p.item_id = i.id and p.id = ${1} when matched then update set name = 'm' returning i.id`,
    ),
  ),
  primary('$queryRaw for update', query(sql`select id from item where id = ${1} for update`)),
  primary(
    '$queryRaw for update, skip locked, in a CTE',
    query(sql`with next as (select id from item limit 1 for update skip locked) select id from next`),
  ),
  primary('$queryRaw for share', query(sql`select id from item where id = ${1} for share`)),
  primary(
    '$queryRaw of a subquery that locks',
    query(sql`select id from (select id from item for no key update nowait) as locked`),
  ),
  primary('$queryRaw into a table', execute(sql`select id into temporary copied from item`)),
  primary('$queryRaw of nextval', query(sql`select nextval('ticket_number')`)),
  primary('$queryRaw of a volatile function', query(sql`select take_number()`)),
  primary(
    '$queryRaw of a volatile function in a condition',
    query(sql`select id from item where take_number() > ${0}`),
  ),
  primary('$queryRaw of a lock', query(sql`select 1 as one from (select pg_advisory_xact_lock(${1})) as locked`)),
  primary('$queryRaw of a lock that is tried', query(sql`select pg_try_advisory_xact_lock(${1}) as locked`)),
  primary('$queryRaw of a setting', query(sql`select set_config('shop.tenant', ${'7'}, true)`)),
  primary('$queryRaw of pg_notify', query(sql`select pg_notify('shop', ${'x'})::text`)),
  primary('$queryRaw of a view that is to stay', query(sql`select number from numbering`), 'named in primaryOnly'),
  primary('$queryRaw of explain', query(sql`explain select id from item`), 'explain analyze runs what it explains'),
]
