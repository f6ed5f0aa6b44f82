import { describe, expect, test } from 'vitest'
import { sqlText } from '../../src/sql/sql-text.js'
import { firstEnd, statementHeads } from '../../src/sql/transaction-control.js'

const plain = { kind: 'begin', isValid: true, isolation: undefined, readOnly: undefined, deferrable: undefined }

describe('begins', () => {
  test.each([
    'begin',
    'BEGIN;',
    '  Begin Work ; ',
    'begin transaction',
    'START TRANSACTION',
    '-- why\nbegin',
    '/* a /* nested */ comment */ begin -- and behind',
    ';begin',
    'begin/**/;',
    '--\rbegin /*\nselect 1 */',
    '\f\vbegin',
  ])('%j', (text) => expect(sqlText(text).control).toEqual(plain))

  test.each([
    ['begin isolation level serializable', { isolation: 'serializable' }],
    [
      'start transaction isolation level  REPEATABLE\nREAD, read only',
      { isolation: 'repeatable read', readOnly: true },
    ],
    ['begin isolation level read uncommitted read write', { isolation: 'read uncommitted', readOnly: false }],
    [
      'begin isolation level serializable read only deferrable',
      { isolation: 'serializable', readOnly: true, deferrable: true },
    ],
    ['begin not deferrable', { deferrable: false }],
  ] as const)('%j', (text, modes) => expect(sqlText(text).control).toEqual({ ...plain, ...modes }))
  test('with modes that the server does not know', () =>
    expect(sqlText('begin isolation level nonsense').control).toMatchObject({ kind: 'begin', isValid: false }))
})

describe('ends', () => {
  test.each([
    ['commit', 'commit', false],
    ['END TRANSACTION;', 'commit', false],
    ['commit work', 'commit', false],
    ['commit and chain', 'commit', true],
    ['commit and no chain', 'commit', false],
    ['ROLLBACK', 'rollback', false],
    ['abort', 'rollback', false],
    ['rollback transaction and chain', 'rollback', true],
  ] as const)('%j', (text, kind, chain) => expect(sqlText(text).control).toEqual({ kind, chain }))
  test('and prepares', () => expect(sqlText("prepare transaction 'a'").control).toEqual({ kind: 'prepare' }))
})

test.each([
  'begin; select 1; commit',
  "select ';'; commit",
  'insert into a values (1); -- x\n rollback',
  'create function begin() returns int language sql return 1; begin',
  'create function f() returns int begin atomic select 1 as case; end; begin',
  "select 'a'\n'b;'; begin",
  "select $$ ; $$; select e'it''s \\' ;'; commit",
])('%j ends or begins a transaction among other statements', (text) =>
  expect(sqlText(text).control).toEqual({ kind: 'mixed' }),
)

test.each([
  '',
  ';',
  'select 1',
  'select 1; select 2',
  'savepoint a',
  'release savepoint a',
  'rollback to savepoint a',
  'rollback to a',
  'rollback transaction to savepoint a',
  "commit prepared 'a'",
  "rollback prepared 'a'",
  'beginning',
  '\u00a0begin',
  '\ufeffcommit',
  'rollbac\u212a',
  '"begin"',
  "select e'a'\n'\\'; commit; '",
  'create rule r as on insert to t do also (insert into a values (1); insert into b values (1))',
  'prepare a as select 1',
  '-- begin',
  '/* begin */ select 1',
  "select 'x'; select '; commit; '",
  'select 1; select "; commit; "',
  'select $$a$$; select $q$ $$ ; commit; $q$',
  "select e'\\'; commit; '; select 1",
  'select a$b; select 1 as commit$',
  'create function f() returns int begin atomic select case when true then 1 else 2 end; select 2; end',
  'create or replace procedure p() begin atomic insert into a values (1); end; select 1',
  "do $do$ begin perform 1; end $do$; select 'a'",
])('%j does neither', (text) => expect(sqlText(text).control).toBeUndefined())

test('a text of megabytes is read', () => {
  const long = 'x'.repeat(2_000_000)
  expect(sqlText(`-- ${long}\nselect 1; select '${long}'; select e'${long}'; commit`).control).toEqual({
    kind: 'mixed',
  })
})

describe('leaves a transaction open', () => {
  test.each([
    'begin',
    'BEGIN;',
    'start transaction read only',
    '--\rbegin',
    '/* a /* b */ */ begin; insert into t values (1)',
    'select 1; begin',
    'begin; commit; begin',
    'begin; commit and chain',
    'begin; rollback to a',
    'begin isolation level nonsense',
    `begin ${'read only '.repeat(30)}`,
    'begin; do $$ begin commit; end $$',
  ])('%j', (text) => expect(sqlText(text).effects.leavesOpen).toBe(true))
  test.each([
    'begin; select 1; commit',
    'begin; rollback and no chain',
    "begin; prepare transaction 'a'",
    "select 'begin'",
    'do $$ begin perform 1; end $$',
    'select 1 as begin',
    '"begin"',
    'create function f() returns int begin atomic select 1; end',
    'commit',
    'savepoint a',
  ])('not %j', (text) => expect(sqlText(text).effects.leavesOpen).toBe(false))
})

describe('may commit before it is over', () => {
  test.each([
    'call work()',
    '-- x\rcall work()',
    'do $$ begin commit; end $$',
    'DO LANGUAGE plpgsql $$ begin end $$',
    'begin; insert into t values (1); commit; select pg_sleep(1)',
    'vacuum',
    'vacuum (full) t',
    'analyze',
    'cluster t using i',
    'reindex (concurrently) table t',
    'reindex database',
    'create unique index concurrently i on t (a)',
    'create index concurrently if not exists i on t (a)',
    'drop index concurrently if exists i',
    'alter table if exists only a.t detach partition b concurrently',
    'create database x',
    'drop database x with (force)',
    'alter system set work_mem = 1',
  ])('%j', (text) => expect(sqlText(text).effects.commitsByItself).toBe(true))
  test.each([
    'insert into t values (1)',
    'insert into t values (1) on conflict do nothing',
    'create index i on t (a)',
    'refresh materialized view concurrently v',
    'create table call (a int)',
    'select 1; select 2',
    "select 'call'",
    'delete from vacuum',
  ])('not %j', (text) => expect(sqlText(text).effects.commitsByItself).toBe(false))
})

test.each([
  ['commit', ['COMMIT'], 'COMMIT'],
  ['rollback to savepoint a', ['ROLLBACK'], undefined],
  ['rollback transaction to a; rollback', ['ROLLBACK', 'ROLLBACK'], 'ROLLBACK'],
  ['rollback to a; commit; begin', ['ROLLBACK', 'COMMIT'], 'COMMIT'],
  ["prepare transaction 'a'", ['PREPARE TRANSACTION'], 'PREPARE TRANSACTION'],
  ['rollback and chain', ['ROLLBACK'], 'ROLLBACK'],
  // Whatever the text looks like, the server's word counts.
  ['', ['ROLLBACK'], 'ROLLBACK'],
  ['select 1', [], undefined],
] as const)('%j, answered with %j, is ended by %s', (text, words, end) =>
  expect(firstEnd(sqlText(text), words)).toBe(end),
)

test('a text whose strings may end elsewhere is not called undone, and not refused', () => {
  const text = "select 'a\\', ' as v; begin; call work(); commit and chain; select 1 --'"
  expect(sqlText(text).effects).toEqual({
    leavesOpen: false,
    endsTransaction: true,
    commitsByItself: true,
    chains: true,
  })
})

test('the body of a routine ends with the END that begins a statement', () => {
  const body = 'create or replace function f() returns int begin atomic select 1 end; select end from t; end; commit'
  expect(statementHeads(body)).toHaveLength(2)
  expect(statementHeads('create function f() returns int begin atomic end; commit')).toHaveLength(2)
  expect(statementHeads('create function f(begin atomic) returns int return 1; commit')).toHaveLength(2)
})
