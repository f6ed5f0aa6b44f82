import { describe, expect, test } from 'vitest'
import { deallocatedNames, effectOf, effectOfFailed, meaningOf } from '../../src/sql/prepared-statements.js'

describe('is one statement about rows', () => {
  test.each([
    'select 1',
    'SELECT 1;',
    'select 1; -- done',
    'select 1;/* ; */ ;',
    '--\r(select 1) union (select 2)',
    "select 'into', ';', \"into\", $$ create $$",
    "select 'a\\b' from t where x like '%\\_%'",
    "select 'a\\'",
    "select U&'d\\0061t'",
    'insert--\r\ninto t values (1)',
    'with a as (select 1) insert /**/ into t select * from a',
    'with a as (insert into t values (1) returning x), b as (merge into t using u on true when matched then delete) select 1',
    "select set_config /**/ ( 'work_mem', $1, true)",
    "select set_config('app.tenant', $1, true)",
    'select name from pg_settings',
    'update t set search_path = 1',
  ])('%j', (text) => expect(meaningOf(text)).toMatchObject({ isAboutRows: true, holdsSeveral: false }))

  test.each([
    '',
    ';',
    'select 1; select 2',
    'select 1;--\rselect 2',
    'sel\u212act 1',
    'selec\u212a 1',
    'select 1 into t',
    'select insert into t from x',
    'select (1) insert into t',
    'with a as (select 1) select 1 merge into t',
    'select/**/1--\rINTO t',
    "select 'unended ; commit",
    'select 1into t',
    "select set_config($1, 'a', false)",
    "select set_config('search_' || 'path', 'a', false)",
    "select set_config('work_mem'\n', x', 'a', false)",
    "select \"set_config\"('search_path', 'a', false)",
    'select U&"set\\005fconfig"(1)',
    "with a as (select 1) update pg_settings set setting = 'a'",
    "select 'a\\', ' as v into t --'",
    'explain analyze select 1',
    'begin',
    'call f()',
  ])('not %j', (text) => expect(meaningOf(text).isAboutRows).toBe(false))
})

describe('what a statement has done to the meaning of others', () => {
  test.each([
    ['SET', "set application_name = 'a'", 'none'],
    ['SET', 'set/**/local--\rapp.x = 1', 'none'],
    ['SET', 'set session characteristics as transaction read only', 'none'],
    ['SET', 'set wor\u212a_mem = 1', 'session'],
    ['SET', 'set role a', 'session'],
    ['SET', 'set session authorization a', 'session'],
    ['SET', 'set "work_mem" = 1', 'session'],
    ['SET', undefined, 'session'],
    ['RESET', 'reset all', 'session'],
    ['CREATE TABLE', 'create/**/temp--\rtable a ()', 'session'],
    ['CREATE TABLE', 'create global temporary table a ()', 'session'],
    ['CREATE TABLE', 'create table a (); create temp table b ()', 'pool'],
    ['CREATE TABLE', 'create temp table b (); create table a ()', 'pool'],
    ['SELECT 1', 'select 1 into/**/local temp t', 'session'],
    ['SELECT 1', 'select 1 into t', 'pool'],
    ['SELECT 1', 'create table a as select 1', 'pool'],
    ['EXPLAIN', 'explain (analyze) insert into t select 1', 'none'],
    ['EXPLAIN', 'explain analyze create temp table a as select 1', 'pool'],
    ['SELECT 1', 'execute p', 'session'],
    ['SELECT 1', undefined, 'session'],
    ['CALL', 'call f()', 'pool'],
    ['DO', undefined, 'pool'],
    ['LOAD', "load 'a'", 'session'],
    ['COMMIT', 'commit', 'none'],
    ['COMMIT PREPARED', "commit prepared 'a'", 'pool'],
  ] as const)('%s of %j: %s', (tag, text, effect) => {
    expect(effectOf(tag, text === undefined ? undefined : meaningOf(text))).toBe(effect)
  })

  test('one that failed may have committed by then, wherever in the text it stands', () => {
    for (const text of ['call f()', 'select 1; /**/ call f()', 'do $$ begin end $$']) {
      expect(effectOfFailed(meaningOf(text)), text).toBe('pool')
    }
    expect(effectOfFailed(meaningOf('insert into call select do from t'))).toBe('none')
  })
})

test.each([
  ['deallocate a', ['a']],
  ['DeAllocate PREPARE A', ['a']],
  ['/* b */ deallocate -- c\n "A b";', ['A b']],
  ['deallocate "with ""quotes"""', ['with "quotes"']],
  ['deallocate all', []],
  ['deallocate prepare all', []],
  ['deallocate "all"', ['all']],
  ['deallocate prepare', ['prepare']],
  ['deallocate prepare; deallocate prepare prepare', ['prepare', 'prepare']],
  ["select 'deallocate b'; deallocate a; deallocate all; deallocate c", ['a', 'c']],
  [`deallocate ${'x'.repeat(70)}`, ['x'.repeat(63)]],
  [`deallocate "${'é'.repeat(40)}"`, ['é'.repeat(31)]],
  ['select deallocate from a', []],
  ['deallocate U&"\\0061"', undefined],
  ['deallocate É', undefined],
  ['deallocate', undefined],
  ['deallocate $1', undefined],
])('%j frees %j', (text, names) => {
  expect(deallocatedNames(text)).toEqual(names)
})
