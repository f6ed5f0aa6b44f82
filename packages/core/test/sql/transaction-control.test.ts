import { describe, expect, test } from 'vitest'
import { transactionControl } from '../../src/sql/transaction-control.js'

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
  ])('%j', (text) => expect(transactionControl(text)).toEqual(plain))

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
  ] as const)('%j', (text, modes) => expect(transactionControl(text)).toEqual({ ...plain, ...modes }))
  test('with modes that the server does not know', () =>
    expect(transactionControl('begin isolation level nonsense')).toMatchObject({ kind: 'begin', isValid: false }))
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
  ] as const)('%j', (text, kind, chain) => expect(transactionControl(text)).toEqual({ kind, chain }))
  test('and prepares', () => expect(transactionControl("prepare transaction 'a'")).toEqual({ kind: 'prepare' }))
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
  expect(transactionControl(text)).toEqual({ kind: 'mixed' }),
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
])('%j does neither', (text) => expect(transactionControl(text)).toBeUndefined())

test('a text of megabytes is read', () => {
  const long = 'x'.repeat(2_000_000)
  expect(transactionControl(`-- ${long}\nselect 1; select '${long}'; select e'${long}'; commit`)).toEqual({
    kind: 'mixed',
  })
})
