import type { PoolOptions } from '@pg-lifeguard/core'
import { schema } from '../schema.js'

/** SQL that makes what the corpora of queries work on: the tables of all cases, and things that are easy to get wrong. */
export const shop = `
  ${schema}
  create table keyword ("order" int primary key, "update" text, "delete" boolean, "for" text, "into" int);
  create sequence ticket_number start 10000;
  create function take_number() returns bigint language sql volatile as $$ select nextval('ticket_number') $$;
  create function next(key int) returns int language sql volatile
    as $$ select case when pg_try_advisory_xact_lock(key) then key end $$;
  create function price_of(id int) returns int language sql stable as $$ select id * 100 $$;
  create procedure restock() language sql as $$ update item set stock = stock + 1 $$;
  create view stocked as select id, name from item where stock > 0;
  create view numbering as select nextval('ticket_number') as number;
  create materialized view popular as select item_id from part group by item_id having count(*) > 1;
  create unlogged table visit (id int primary key);
  insert into item (id, name, stock) select n, 'item ' || n, n % 3 from generate_series(1, 6) as n;
  insert into part (id, item_id) select n, n % 3 + 1 from generate_series(1, 6) as n;
  insert into keyword values (1, 'update item', false, 'for update', 1), (2, 'delete', true, 'insert into', 2);
`

/** What the pool of a corpus knows of them. However late the replica is, it is fresh enough. */
export const shopOptions: PoolOptions = {
  maxLagMs: 600_000,
  readFunctions: ['price_of'],
  primaryOnly: ['numbering'],
}
