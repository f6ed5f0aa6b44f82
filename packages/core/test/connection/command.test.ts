import { useDatabase } from '@pg-lifeguard/testing/vitest'
import type { QueryConfig } from 'pg'
import { expect, test } from 'vitest'
import { operationFor } from '../../src/connection/command.js'
import { InvalidArgumentError, type Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

/** A statement of a user with fields of other commands: they are the user's, and mean nothing here. */
const statement = Object.freeze({
  text: 'select $1::int as n',
  values: [1],
  kind: 'exchange',
  exchange: () => {
    throw new Error('a field of a user was called')
  },
  adapter: {},
  config: { text: 'select 2 as n' },
  preludes: [{ text: 'no sql' }],
  label: 'no label',
})

const ways: readonly (readonly [string, (pool: Pool) => Promise<unknown>])[] = [
  ['pool.query', async (pool) => (await pool.query(statement)).rows],
  [
    'a connection',
    async (pool) => await pool.acquire().then((one) => using(one, async () => (await one.query(statement)).rows)),
  ],
  ['a transaction', (pool) => pool.withTransaction(async (tx) => (await tx.query(statement)).rows)],
  [
    'a savepoint',
    (pool) => pool.withTransaction((tx) => tx.withTransaction(async (in_) => (await in_.query(statement)).rows)),
  ],
  ['a batch', async (pool) => (await pool.batch([statement]))[0]?.rows],
  ['batchTogether', async (pool) => (await pool.batchTogether([() => pool.query(statement)]))[0].rows],
  ['a stream', async (pool) => await all(pool.stream(statement))],
  ['the facade', async (pool) => (await pool.asPgPool().query<{ n: number }>(statement as QueryConfig)).rows],
]

async function using<T>(one: AsyncDisposable, fn: () => Promise<T>): Promise<T> {
  await using _ = one
  return await fn()
}

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const row of rows) found.push(row)
  return found
}

test.each(ways)('fields of a statement that belong to other commands mean nothing: %s', async (_, run) => {
  expect(await run(testPool(database.url))).toEqual([{ n: 1 }])
})

test('a piece of work that asks for more than a statement is refused, whatever it asks for', async () => {
  const pool = testPool(database.url)
  const others = [() => pool.batch([statement]), () => pool.copyFrom({ table: 'none' }, [])]
  for (const other of others) expect(await rejection(pool.batchTogether([other]))).toBeInstanceOf(InvalidArgumentError)
})

test('each command makes its own operation, with the preludes of its transaction', () => {
  const preludes = [{ text: 'begin' }]
  const config = { text: 'select 1' }
  const asked = operationFor({ kind: 'statement', config }, preludes)
  expect([asked.text, asked.reportedText, asked.isReported]).toEqual(['select 1', 'select 1', true])
  const locking = operationFor({ kind: 'with-preludes', config, preludes: [{ text: 'select 2' }], label: 'a lock' })
  expect([locking.text, locking.reportedText]).toEqual(['select 1', 'a lock'])
  const portal = {
    name: 'p',
    whole: {} as never,
    rows: 1,
    fields: undefined,
    reader: undefined,
    hasMore: false,
    isOpen: false,
    bytes: 0,
    longest: 0,
  }
  const fetch = operationFor({ kind: 'fetch', config, portal }, preludes)
  // All pieces are reported as one.
  expect([fetch.isReported, fetch.whole]).toEqual([false, portal.whole])
})
