import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { answeredInTime, eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create table item (id int primary key);
    insert into item select generate_series(1, 100);
    create table written (mark int);
    create function write(mark int) returns int language sql as 'insert into written values (mark) returning mark';
  `,
})

/** A session beside the pool, for what is done to the sessions of the pool. */
async function asAdmin<T>(fn: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: database.url })
  await admin.connect()
  try {
    return await fn(admin)
  } finally {
    await admin.end()
  }
}

const of = (pool: Pool, condition: string): string =>
  `select pid from pg_stat_activity where application_name = '${pool.name}' and ${condition}`

/** Ends these sessions, all at once, and waits until they are gone; returns how many there were. */
async function kill(pool: Pool, condition = 'true'): Promise<number> {
  return await asAdmin(async (admin) => {
    // One after the other, on a busy machine, a read could be sent again on one that is still to be ended.
    const { rows } = await admin.query<{ pid: number }>(
      `select pid, pg_terminate_backend(pid) from (${of(pool, condition)})`,
    )
    const pids = rows.map(({ pid }) => pid)
    await eventually('they are gone', async () => {
      const { rowCount } = await admin.query('select from pg_stat_activity where pid = any ($1)', [pids])
      return rowCount === 0
    })
    return pids.length
  })
}

async function running(pool: Pool, count: number): Promise<void> {
  await asAdmin(async (admin) => {
    await eventually(`${count} statements run`, async () => {
      const { rowCount } = await admin.query(of(pool, "state = 'active'"))
      return rowCount === count
    })
  })
}

let pools = 0
const named = (options: Parameters<typeof testPool>[1] = {}, url = database.url): Pool =>
  testPool(url, { name: `retry-reads-${++pools}`, ...options })

test('ten idle connections that were killed cost 20 reads nothing', async () => {
  const pool = named({ max: 10 })
  await Promise.all(Array.from({ length: 10 }, () => pool.query('select pg_sleep(0.1)')))
  const rows = await asAdmin(async (admin) => {
    await admin.query('select 1')
    const killed = admin.query(`select pg_terminate_backend(pid, 10000) from (${of(pool, 'true')})`)
    // This process stands still until the sessions have ended, so that it sends the reads before it can have noticed.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    const reads = Array.from({ length: 20 }, (_, n) => pool.query('select id from item where id = $1', [n + 1]))
    expect((await killed).rowCount).toBe(10)
    return await Promise.all(reads)
  })
  expect(rows.map(({ rows: [row] }) => row)).toEqual(Array.from({ length: 20 }, (_, n) => ({ id: n + 1 })))
})

test('20 reads that are under way when their backends are killed are sent once more', async () => {
  const pool = named({ max: 20 })
  const reads = Array.from({ length: 20 }, (_, n) => pool.query('select $1::int as n, pg_sleep(1)', [n]))
  await running(pool, 20)
  expect(await kill(pool, "state = 'active'")).toBe(20)
  const answers = await Promise.all(reads)
  expect(answers.map(({ rows: [row] }) => row?.['n'])).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('a read behind others on a connection that they share is sent again, each with its own answer', async () => {
  const pool = named({ max: 1 })
  const text = 'select id from item where id = $1'
  await eventually('the text is known to be fast', async () => {
    await Promise.all(Array.from({ length: 8 }, () => pool.query(text, [1])))
    return pool.stats().queries.pipelined > 0
  })
  for (let round = 0; round < 5; round++) {
    const reads = Array.from({ length: 50 }, (_, n) => pool.query(text, [n + 1]))
    const killed = kill(pool)
    const answers = await Promise.all(reads)
    expect(answers.map(({ rows: [row] }) => row)).toEqual(Array.from({ length: 50 }, (_, n) => ({ id: n + 1 })))
    await killed
  }
})

test('a socket that is cut is no other thing than a killed backend', async () => {
  const proxy = await startFaultProxy({ target: database.url })
  const pool = named({ max: 2 }, proxy.urlFor(database.url))
  const read = pool.query('select pg_sleep(0.5) is null as no')
  await running(pool, 1)
  proxy.cut()
  expect((await read).rows).toEqual([{ no: false }])
  await pool.end()
  await proxy.stop()
})

describe('never sent twice', () => {
  const writes = {
    'an insert': 'insert into written select 1 from pg_sleep(0.5)',
    'an insert in a WITH':
      'with w as (insert into written values (2) returning mark) select mark, pg_sleep(0.5) from w',
    'a function of the user': 'select write(3), pg_sleep(0.5)',
    'a lock of rows': 'select id, pg_sleep(0.5) from item where id = 1 for update',
    'a sequence or lock of the session': 'select pg_advisory_lock_shared(1), pg_sleep(0.5)',
    'several statements': 'select pg_sleep(0.5); select 1',
  }
  test.each(Object.entries(writes))('%s', async (_, text) => {
    const pool = named({ max: 2 })
    const before = pool.stats().pool.opened
    const failed = rejection(pool.query(text))
    await running(pool, 1)
    await kill(pool, "state = 'active'")
    expect(await failed).toMatchObject({ code: expect.stringMatching(/^(57P01|LIFEGUARD_CONNECTION_LOST)$/) })
    await pool.query('select 1')
    expect(pool.stats().pool.opened - before).toBeLessThanOrEqual(2)
    const { rows } = await pool.query('select mark from written')
    expect(rows).toEqual([])
  })

  test('a read in a transaction: the transaction is over', async () => {
    const pool = named({ max: 2 })
    let runs = 0
    const failed = rejection(
      pool.withTransaction(
        async (tx) => {
          runs += 1
          await tx.query('select pg_sleep(5)')
        },
        { retry: false },
      ),
    )
    await running(pool, 1)
    await kill(pool, "state = 'active'")
    expect(await failed).toMatchObject({ code: expect.stringMatching(/^(57P01|LIFEGUARD_CONNECTION_LOST)$/) })
    expect(runs).toBe(1)
  })
})

test('once more, and no oftener: a read that ends each session that runs it is reported', async () => {
  const pool = named({ max: 2 })
  const text = 'select pg_sleep(30)'
  const failed = rejection(pool.query(text))
  for (let times = 0; times < 2; times++) {
    await running(pool, 1)
    await kill(pool, "state = 'active'")
  }
  expect(await failed).toMatchObject({ code: expect.stringMatching(/^(57P01|LIFEGUARD_CONNECTION_LOST)$/) })
})

test('within its deadline: the time of both goes by together', async () => {
  const pool = named({ max: 2 })
  const error = await answeredInTime(async () => {
    const read = pool.query('select pg_sleep(30)', [], { timeoutMs: 1_500 })
    read.catch(() => undefined)
    await running(pool, 1)
    await kill(pool, "state = 'active'")
    await read
  })
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'cancelled' })
})

test('what the pool says of its own functions holds', async () => {
  const pool = named({ max: 2, readFunctions: ['write'], primaryOnly: ['item'] })
  const again = pool.query('select write(0) - write(0) as zero, pg_sleep(0.5)')
  await running(pool, 1)
  await kill(pool, "state = 'active'")
  expect((await again).rows[0]).toMatchObject({ zero: 0 })
  const failed = rejection(pool.query('select pg_sleep(0.5) from item where id = 1'))
  await running(pool, 1)
  await kill(pool, "state = 'active'")
  expect(await failed).toMatchObject({ code: expect.stringMatching(/^(57P01|LIFEGUARD_CONNECTION_LOST)$/) })
})

test('retryReads: false sends nothing twice', async () => {
  const pool = named({ max: 2, retryReads: false })
  const failed = rejection(pool.query('select pg_sleep(5)'))
  await running(pool, 1)
  await kill(pool, "state = 'active'")
  expect(await failed).toMatchObject({ code: expect.stringMatching(/^(57P01|LIFEGUARD_CONNECTION_LOST)$/) })
})

test('after one connection was lost the others are asked for a sign of life before a write is sent on them', async () => {
  const pool = named({ max: 4, validateAfterIdleMs: 600_000 })
  await Promise.all(Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.1)')))
  await kill(pool)
  await eventually('the loss was noticed', () => pool.stats().pool.idle === 0)
  await pool.query('insert into written values (9)')
  await pool.query('delete from written')
})
