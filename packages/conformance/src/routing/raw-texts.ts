import type { Destination, RoutedQuery } from './routed-query.js'

/** SQL that people write by hand, whatever ORM they send it through: a name, where it belongs, and the text. */
const texts: readonly (readonly [name: string, destination: Destination, text: string, because?: string])[] = [
  ['a select', 'replica', 'select id, name from item where stock > 0 order by id'],
  ['writes in a comment', 'replica', '/* delete from item; */ select id from item -- for update\n where id = 1'],
  ['writes in a string', 'replica', "select 'insert into item; update item', $$ delete from item $$ as word"],
  ['keywords for columns', 'replica', 'select "update", "delete", "for", "into" from keyword order by "order"'],
  ['values', 'replica', 'values (1, 2), (3, 4)'],
  ['table', 'replica', 'table item'],
  ['show', 'replica', 'show timezone'],
  ['a semicolon at the end', 'replica', 'select 1 as one;'],
  ['a CTE', 'replica', 'with few as (select id from item where stock < 2) select count(*)::int as n from few'],
  [
    'a recursive CTE with columns',
    'replica',
    'with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n)::int as s from t',
  ],
  ['a set operation', 'replica', '(select id from item except select item_id from part) union all select 0 order by 1'],
  ['grouping sets', 'replica', 'select stock, count(*)::int as n from item group by grouping sets ((stock), ())'],
  ['a sample of a table', 'replica', 'select id from item tablesample bernoulli (50) repeatable (1)'],
  ['a lateral function', 'replica', "select i.id, w from item i, lateral string_to_table(i.name, ' ') as w"],
  ['a function that is vouched for', 'replica', 'select price_of(id) as price from item'],
  ['a view', 'replica', 'select id from stocked'],
  ['an insert', 'primary', "insert into item (id, name) values (900, 'raw') on conflict do nothing"],
  ['an update after a comment', 'primary', '/* select */ update item set stock = stock where id = 1'],
  [
    'a delete in brackets of a CTE',
    'primary',
    'with gone as (delete from part where id = 900 returning id) select id from gone',
  ],
  [
    'an insert in a CTE after one that reads',
    'primary',
    "with a as (select 901 as id), b as (insert into item (id, name) select id, 'b' from a on conflict do nothing returning id) select id from b",
  ],
  [
    'a merge in a CTE',
    'primary',
    'with m as (merge into item i using (values (1)) v(id) on i.id = v.id when matched then update set stock = i.stock returning i.id) select id from m',
  ],
  ['select into', 'primary', 'select id into temporary copy_of_item from item'],
  ['for update', 'primary', 'select id from item where id = 1 for update'],
  ['for no key update of, nowait', 'primary', 'select i.id from item i where i.id = 1 for no key update of i nowait'],
  ['for share in a subquery', 'primary', 'select count(*)::int as n from (select id from item for share) as locked'],
  ['for key share, skip locked', 'primary', 'select id from item FOR\n/* c */ KEY SHARE skip locked'],
  ['nextval', 'primary', "select nextval('ticket_number')::int as n"],
  ['nextval in quotes, with its schema', 'primary', `select "pg_catalog"."nextval"('ticket_number')::int as n`],
  ['setval', 'primary', "select setval('ticket_number', 1000)::int as n"],
  ['a session lock', 'primary', 'select pg_advisory_lock(1)::text as l, pg_advisory_unlock(1) as u'],
  ['a transaction lock in a condition', 'primary', 'select 1 as one where pg_try_advisory_xact_lock(2)'],
  [
    'a lock in a join',
    'primary',
    'select i.id from item i cross join lateral (select pg_advisory_xact_lock_shared(i.id)::text as l) as l',
  ],
  ['set_config', 'primary', "select set_config('shop.tenant', '7', false) as tenant"],
  ['pg_notify', 'primary', "select pg_notify('shop', 'closed')::text as n"],
  ['a volatile function of the user', 'primary', 'select take_number()::int as n'],
  ['a function of the user that is called as a keyword', 'primary', 'select next(id) as n from item'],
  ['a volatile function in order by', 'primary', 'select id from item order by take_number()'],
  ['a large object', 'primary', 'select lo_unlink(lo_create(0)) as n'],
  [
    'SQL in the string of a function',
    'primary',
    "select query_to_xml('select take_number()', true, true, '')::text as x",
  ],
  ['a view that is to stay', 'primary', 'select number::int as n from numbering'],
  [
    'statistics of the server',
    'primary',
    'select count(*)::int as n from pg_stat_activity',
    'it describes the server that is asked',
  ],
  [
    'explain',
    'primary',
    'explain select id from item',
    'explain analyze runs what it explains; the rule reads no further than explain',
  ],
  ['explain analyze of a write', 'primary', 'explain analyze update item set stock = stock where id = 1'],
  ['a procedure', 'primary', 'call restock()'],
  ['an anonymous block', 'primary', "do $$ begin perform nextval('ticket_number'); end $$"],
  ['listen', 'primary', 'unlisten *'],
  ['a setting', 'primary', 'set statement_timeout = default'],
  ['truncate', 'primary', 'truncate visit'],
  ['a table', 'primary', 'create table if not exists made (id int)'],
]

/** The texts as a corpus, sent by the ORM's own way to send SQL. */
export function rawTexts<Db>(send: (db: Db, text: string) => PromiseLike<unknown>): readonly RoutedQuery<Db>[] {
  return texts.map(([name, destination, text, because]) => ({
    name: `text: ${name}`,
    destination,
    because,
    run: (db) => send(db, text),
  }))
}
