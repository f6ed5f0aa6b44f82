import { describe, expect, test } from 'vitest'
import { firstEnd, statementHeads, textEffects } from '../../src/sql/text-effects.js'

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
  ])('%j', (text) => expect(textEffects(text).leavesOpen).toBe(true))
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
  ])('not %j', (text) => expect(textEffects(text).leavesOpen).toBe(false))
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
  ])('%j', (text) => expect(textEffects(text).commitsByItself).toBe(true))
  test.each([
    'insert into t values (1)',
    'insert into t values (1) on conflict do nothing',
    'create index i on t (a)',
    'refresh materialized view concurrently v',
    'create table call (a int)',
    'select 1; select 2',
    "select 'call'",
    'delete from vacuum',
  ])('not %j', (text) => expect(textEffects(text).commitsByItself).toBe(false))
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
] as const)('%j, answered with %j, is ended by %s', (text, words, end) => expect(firstEnd(text, words)).toBe(end))

test('a text whose strings may end elsewhere is not called undone, and not refused', () => {
  const text = "select 'a\\', ' as v; begin; call work(); commit and chain; select 1 --'"
  expect(textEffects(text)).toEqual({ leavesOpen: false, endsTransaction: true, commitsByItself: true, chains: true })
})

test('the body of a routine ends with the END that begins a statement', () => {
  const body = 'create or replace function f() returns int begin atomic select 1 end; select end from t; end; commit'
  expect(statementHeads(body)).toHaveLength(2)
  expect(statementHeads('create function f() returns int begin atomic end; commit')).toHaveLength(2)
  expect(statementHeads('create function f(begin atomic) returns int return 1; commit')).toHaveLength(2)
})
