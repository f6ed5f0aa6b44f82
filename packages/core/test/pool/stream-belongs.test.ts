import { text } from 'node:stream/consumers'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Pool, sql } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
let pool: Pool
beforeEach(() => {
  pool = testPool(database.url)
})

const tenant = "select coalesce(current_setting('app.tenant', true), '') as t from generate_series(1, 3)"
const asTenant = (t: string) => ({ settings: { 'app.tenant': t } }) as const

/** Every way to ask for rows now and read them later. */
const ways: Readonly<Record<string, () => AsyncIterable<unknown>>> = {
  stream: () => pool.stream(tenant),
  'stream in batches of one': () => pool.stream(tenant, [], { batchSize: 1 }),
  streamBatches: () => pool.streamBatches({ text: tenant }),
  copyTo: () => pool.copyTo({ text: tenant }),
}

async function drain(rows: AsyncIterable<unknown>): Promise<string> {
  let seen = ''
  for await (const row of rows) seen += Buffer.isBuffer(row) ? row.toString() : JSON.stringify(row)
  return seen
}

describe.each(Object.entries(ways))('%s', (_, make) => {
  test('made in a transaction and read after it is refused, whatever is open around the reader', async () => {
    const closed = { code: 'LIFEGUARD_TRANSACTION_CLOSED' }
    const made = (): Promise<readonly [AsyncIterable<unknown>]> =>
      pool.withTransaction(async (tx) => {
        await tx.query('select 1')
        return [make()]
      }, asTenant('a'))
    const [outside] = await made()
    expect(await rejection(drain(outside))).toMatchObject(closed)
    const [elsewhere] = await made()
    await pool.withTransaction(async () => {
      expect(await rejection(drain(elsewhere))).toMatchObject(closed)
    }, asTenant('b'))
    const [nested] = await pool.withTransaction((tx) => tx.withTransaction(async () => [make()] as const))
    expect(await rejection(drain(nested))).toMatchObject(closed)
    expect(pool.stats().pool.active).toBe(0)
  })

  test('made in a savepoint and read after it is refused', async () => {
    await pool.withTransaction(async (tx) => {
      const [rows] = await tx.withTransaction(async () => [make()])
      expect(await rejection(drain(rows))).toMatchObject({ code: 'LIFEGUARD_TRANSACTION_CLOSED' })
      expect((await tx.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    })
  })

  test('made in a transaction whose first statement it is, and read in it, has its rights', async () => {
    expect(await pool.withTransaction(() => drain(make()), asTenant('a'))).toContain('a')
  })

  test('made outside and read in a transaction has the rights of outside', async () => {
    const rows = make()
    const seen = await pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      return await drain(rows)
    }, asTenant('a'))
    expect(seen).not.toContain('a')
    expect(pool.stats().pool.active).toBe(0)
  })

  test('made within a deadline is bound by it, wherever it is read', async () => {
    const abort = new AbortController()
    const [rows] = await pool.withDeadline(async () => [make()], { timeoutMs: 60_000, signal: abort.signal })
    abort.abort()
    expect(await rejection(drain(rows))).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    expect(pool.stats().pool.active).toBe(0)
  })
})

describe('a stream of a transaction that is still open', () => {
  test('is refused where another one, or none, is open', async () => {
    await pool.withTransaction(async (tx) => {
      const read = (): Promise<string> => drain(pool.stream(tenant))
      expect(await read()).toContain('a')
      const none = pool.stream(tenant)
      const other = pool.stream(tenant)
      const closed = { code: 'LIFEGUARD_TRANSACTION_CLOSED' }
      expect(await rejection(pool.outsideTransaction(() => drain(none)))).toMatchObject(closed)
      const elsewhere = pool.outsideTransaction(() => pool.withTransaction(() => drain(other), asTenant('b')))
      expect(await rejection(elsewhere)).toMatchObject(closed)
      expect((await tx.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    }, asTenant('a'))
  })

  test('may be read in a savepoint below', async () => {
    await pool.withTransaction(async (tx) => {
      const rows = pool.stream(tenant)
      expect(await tx.withTransaction(() => drain(rows))).toContain('a')
    }, asTenant('a'))
  })
})

test('a stream of a transaction or a connection is bound by the deadline that it was made in', async () => {
  const aborted = { code: 'LIFEGUARD_ABORTED' }
  const madeBefore = async (make: () => AsyncIterable<unknown>): Promise<readonly [AsyncIterable<unknown>]> => {
    const abort = new AbortController()
    const made = await pool.withDeadline(async () => [make()] as const, { timeoutMs: 60_000, signal: abort.signal })
    abort.abort()
    return made
  }
  const inTransaction = pool.withTransaction(async (tx) => {
    const [rows] = await madeBefore(() => tx.stream(tenant))
    await drain(rows)
  })
  expect(await rejection(inTransaction)).toMatchObject(aborted)
  await using connection = await pool.acquire()
  const [rows] = await madeBefore(() => connection.stream(tenant))
  expect(await rejection(drain(rows))).toMatchObject(aborted)
})

test('a stream that waits for a connection while its reader holds the only one says so', async () => {
  const one = testPool(database.url, { max: 1 })
  const rows = one.stream('select 1')
  await one.withTransaction(async (tx) => {
    await tx.query('select 1')
    expect(await rejection(drain(rows))).toMatchObject({ code: 'LIFEGUARD_SELF_DEADLOCK' })
  })
  expect(await text(one.copyTo(sql`select 1`))).toBe('1\n')
})
