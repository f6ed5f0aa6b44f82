import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { onServer, useCluster } from '../support/test-cluster.js'
import { eventually } from '../support/test-pool.js'

const bench = useCluster(
  `create schema early; create schema late; create table late.item (v text, amount int);
  insert into late.item values ('late', 1);
  create function late.f(numeric) returns text language sql immutable as $$ select 'numeric' $$;
  create procedure make() language plpgsql as $$
    begin create table early.item as select 'early'::text as v, 2 as amount; end $$`,
  { replicas: 1 },
)

const item = 'select v, amount from item where $1::int = 1'
const f = 'select f($1::int) as v'
let unique = 0

/** What a replica gives for a text that it may have prepared, and for the same one that it has not. */
async function now(pool: Pool, text: string): Promise<unknown> {
  return await eventually('a replica that is known to be fresh reads', async () => {
    const roles: unknown[] = []
    const stop = pool.on('route', ({ role }) => roles.push(role))
    try {
      return await pool.read(async () => {
        const { rows: kept } = await pool.query(text, [1])
        const { rows: fresh } = await pool.query(`${text} /* ${++unique} */`, [1])
        expect(kept).toEqual(fresh)
        return roles.every((role) => role === 'replica') && kept
      })
    } finally {
      stop()
    }
  })
}

async function warm(pool: Pool): Promise<void> {
  for (let n = 0; n < 4; n++) for (const text of [item, f]) await now(pool, text)
}

test.each<[change: string, undo: string, expected: readonly unknown[]]>([
  ['call make()', 'drop table early.item', [{ v: 'early', amount: 2 }]],
  ["do $$ begin execute 'call make()'; end $$", 'drop table early.item', [{ v: 'early', amount: 2 }]],
  [
    'alter table late.item set schema early; create table late.item (v text, amount int)',
    'drop table late.item; alter table early.item set schema late',
    [{ v: 'late', amount: 1 }],
  ],
  [
    'alter table late.item alter column amount type bigint',
    'alter table late.item alter column amount type int',
    [{ v: 'late', amount: expect.anything() }],
  ],
])('%s on the primary: what replicas have prepared is prepared anew', async (change, undo, expected) => {
  const pool = bench().pool({ max: 2, settings: { search_path: 'early, late, public' }, readFunctions: ['f'] })
  await pool.query("create function late.f(int) returns text language sql immutable as $$ select 'int' $$")
  await bench().cluster.waitForReplicas()
  await warm(pool)
  await pool.query(change)
  await bench().cluster.waitForReplicas()
  expect(await now(pool, item)).toEqual(expected)
  await pool.query('drop function late.f(int)')
  await bench().cluster.waitForReplicas()
  expect(await now(pool, f)).toEqual([{ v: 'numeric' }])
  await warm(pool)
  await pool.query("create function early.f(int) returns text language sql immutable as $$ select 'early' $$")
  await bench().cluster.waitForReplicas()
  expect(await now(pool, f)).toEqual([{ v: 'early' }])
  await onServer(bench().database.url, `drop function early.f(int); ${undo}`)
})
