import pg from 'pg'
import { expect } from 'vitest'
import type { Pool, PoolOptions } from '../../src/index.js'
import { testPool } from './test-pool.js'

/** Two schemas, of which the later one has a table that may be made in the earlier one, too. */
export const earlyAndLate = `
  create schema early; create schema late;
  create table late.item (v text); insert into late.item values ('late');`

/** A pool that finds what is in `early` first. */
export function poolOfEarlyAndLate(url: string, options: Omit<PoolOptions, 'connectionString'> = {}): Pool {
  return testPool(url, { settings: { search_path: 'early, late, public' }, ...options })
}

/** On a session of its own. */
export async function asAdmin(url: string, text: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** Whatever runs statements. */
export interface Asker {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

// Texts that may come to mean something else, each with a placeholder for 1.

/** Finds another table. */
export const item = 'select v from item where $1::int = 1'
/** Each of these reads a literal by a setting. */
export const empty = "select ('x'::text = null) is null as v where $1::int = 1"
export const moment = "select extract(epoch from '2024-01-31 00:00'::timestamptz)::int as v where $1::int = 1"
export const day = "select extract(month from '01/02/2024'::date)::int as v where $1::int = 1"
export const span = "select extract(epoch from '-1 2:03:04'::interval)::int as v where $1::int = 1"

/** Makes the table in the earlier schema. */
export const makeItem = "create table early.item as select 'early'::text as v"

/** So often that it is prepared. */
export async function warm(asker: Asker, text: string): Promise<unknown> {
  let rows: unknown
  for (let n = 0; n < 4; n++) ({ rows } = await asker.query(text, [1]))
  return rows
}

let unique = 0
/** What a text gives whose prepared form the session may have: it has to be what the same text gives anew. */
export async function rowsNow(asker: Asker, text: string): Promise<unknown> {
  const { rows: kept } = await asker.query(text, [1])
  const { rows: fresh } = await asker.query(`${text} /* ${++unique} */`, [1])
  expect(kept).toEqual(fresh)
  return kept
}
