import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isReadOnlyText } from '../../src/index.js'
import { ReadRule } from '../../src/sql/read-rule.js'
import { seeded } from '../support/seeded.js'

describe('may go to a replica', () => {
  test.each([
    'select 1',
    'SELECT 1;',
    '  -- a comment; delete from item\n select /* update /* nested */ insert */ 1 ; ; ',
    "select 'delete from item; ' || name from item where id = $1",
    'select "update" from "insert"',
    'select $$ update item $$, $a$ ; delete $$ $a$',
    "select E'it\\'s; delete'",
    'values (1, 2), (3, 4)',
    'table item',
    'show timezone',
    'close some_cursor',
    'ROLLBACK to savepoint a',
    '(select 1) union all (select 2) order by 1 limit 3',
    'with a as (select 1), b (x, y) as materialized (select 1, 2) select * from a, b',
    'with recursive t(n) as (values (1)) select 1',
    'select count(*), coalesce(max(x), 0), lower(name), now() from item group by lower(name) having count(*) > 1',
    'select pg_catalog.lower(name) from item',
    'select x from item where id in (select id from other) and exists (select 1) and y = any ($1)',
    'select substring(name from 1 for 2) from item',
    'select row_number() over (partition by x order by y) from item window w as (order by z)',
    'select a::numeric(10, 2), cast(b as varchar(3)) from item',
    'select * from (values (1), (2)) as v(id)',
    'select array(select 1), array[1, 2], (1, 2)',
    'select json_agg(row_to_json(item)) from item',
    'select 1.5e3, .5, 1_000, 0xff, 1',
    'select x from item fetch first 3 rows only',
    'select * from generate_series(1, 3) as t(n)',
    'select x from item tablesample bernoulli (10) repeatable (1)',
    'select x from item tablesample SYSTEM (10)',
    'select a, count(*) from item group by rollup (a, b), cube (c), grouping sets ((a), cube (b, c))',
    'select count(*) filter (where x > 1) over (partition by (y) order by (z)) from item',
    'with a as not materialized (select 1) select * from a',
    'select x from a left join (b cross join c) on true join (select 1) as d on true cross join (values (1)) as e(x)',
    "select x from item where name like ('a' || $1) or name not ilike (select 'b') or \"name\" like ('c')",
    'select x from item fetch first (1 + 1) rows only',
  ])('%s', (text) => expect(isReadOnlyText(text)).toBe(text !== 'with recursive t(n) as (values (1)) select 1'))
})

describe('belongs to the primary', () => {
  test.each([
    '',
    ' -- nothing',
    'rollback',
    'rollback and chain',
    'savepoint a',
    'insert into item values (1)',
    'update item set x = 1',
    'delete from item',
    'merge into item using other on true when matched then delete',
    'with gone as (delete from item returning *) select * from gone',
    'with a as (insert into item values (1) returning *) select * from a',
    'select * into copy from item',
    'select 1 into copy',
    'select * from item for update',
    'select * from item FOR /* */ SHARE',
    'select * from item for no key update',
    'select * from item for key share nowait',
    "select nextval('item_id_seq')",
    "select setval('item_id_seq', 1)",
    'select pg_advisory_lock(1)',
    'select "pg_advisory_lock"(1)',
    'select pg_catalog.pg_advisory_lock(1)',
    'select pg_catalog . pg_advisory_lock /* */ (1)',
    'select * from pg_stat_activity',
    'select * from pg_temp.item',
    "select set_config('a.b', 'c', false)",
    "select lo_create(0), dblink_exec('x')",
    'select place_order(1)',
    'select shop.count(1)',
    // Words of the language that a function may have for its name.
    'select next(1)',
    'select first(x), last(x) from item',
    'select x, join(1), like(x) from item where filter(x)',
    'select x from item order by x, rollup(1)',
    'select x from item where (select cube(1)) > 1 group by x',
    'select x from item group by x having rollup(x) > 1',
    'select shop.any(1)',
    'select shop.values(1), shop.exists(2)',
    'select bernoulli(1)',
    'select x from item where not like(x, y)',
    'select x from item group by x, y + rollup(1)',
    'select materialized(1), over(2), sets(3)',
    'select x from item where x > is(1) and escape(1)',
    // Not a blank to the server, but a letter.
    'select (\u00a0lower(1))',
    'select * from place_order(1) as (x int)',
    'select * from item, place_order(1) as (x int)',
    'select 1; delete from item',
    'select 1; select 2',
    'begin',
    'begin; select 1',
    'explain analyze delete from item',
    'explain select 1',
    'listen orders',
    'notify orders',
    "copy item to '/tmp/x'",
    'call do_it()',
    'do $$ begin delete from item; end $$',
    'create temp table t as select 1',
    'lock table item',
    'set x = 1',
    'prepare p as select 1',
    'execute p',
    'declare c cursor for select 1',
    'fetch all from c',
    'vacuum',
    "select 'unfinished",
    'select "unfinished',
    'select $$ unfinished',
    'select /* unfinished',
    "select 'a\\' , ' , nextval('x')",
    "select U&'\\0061'",
    'select U&"d\\0061t\\+000061" (1)',
    'select 1into copy',
    "select E'it\\'s', nextval('x')",
    "select 'it''s', nextval('x')",
    'select $1$, nextval($$x$$)',
  ])('%s', (text) => expect(isReadOnlyText(text)).toBe(false))
})

test('functions that the user vouches for, and names that are to stay', () => {
  const rule = new ReadRule({
    readFunctions: ['price_of', 'shop.tax', 'pg_typeof', 'Odd'],
    primaryOnly: ['random', 'live_view'],
  })
  for (const text of ['select price_of(1)', 'select shop.tax(1)', 'select pg_typeof(1)', 'select "Odd"(1)']) {
    expect(rule.allows(text), text).toBe(true)
  }
  for (const text of [
    'select odd(1)',
    'select tax(1)',
    'select random()',
    'select * from live_view',
    'table live_view',
  ]) {
    expect(rule.allows(text), text).toBe(false)
  }
})

test('what a replica has refused is remembered, and the memory is bounded', () => {
  const rule = new ReadRule()
  rule.refuse('select 1')
  expect(rule.allows('select 1')).toBe(false)
  for (let n = 0; n < 2_000; n += 1) expect(rule.allows(`select ${n + 2}`)).toBe(true)
  expect(rule.allows('select 1')).toBe(true)
})

test('whatever stands around it, a word that changes something is found outside of strings and comments', () => {
  const filler = fc.constantFrom(
    ' ',
    '\n',
    '/* a */',
    '-- b\n',
    "'c'",
    '"d"',
    '$$e$$',
    "E'\\''",
    ', 1',
    ' + x',
    '(select 1)',
    ' as y ',
    "''''",
    '/* /* */ */',
    '$f$ $$ $f$',
  )
  const changing = fc.constantFrom(
    'insert',
    'UPDATE',
    'Delete',
    'into',
    'for update',
    'for share',
    'nextval(',
    'f (',
    ';select',
  )
  fc.assert(
    fc.property(fc.array(filler), changing, fc.array(filler), (before, word, after) => {
      expect(isReadOnlyText(`select 1 ${before.join(' ')} ${word} ${after.join(' ')} 2`)).toBe(false)
    }),
    seeded(2_000),
  )
})

test('no text takes long, and none makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      expect(typeof isReadOnlyText(`select ${text}`)).toBe('boolean')
    }),
    seeded(2_000),
  )
  expect(isReadOnlyText(`select ${'1,'.repeat(9_000)} 1`)).toBe(true)
  expect(isReadOnlyText(`select ${'/*'.repeat(9_000)}`)).toBe(false)
  // What is longer than 20 000 characters is not looked at.
  expect(isReadOnlyText(`select ${'1,'.repeat(10_000)} 1`)).toBe(false)
})
