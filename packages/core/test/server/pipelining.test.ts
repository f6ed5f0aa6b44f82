import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup:
    "create table item (id int primary key, note text); insert into item select n, 'note ' || n from generate_series(1, 100) n; create table written (mark int)",
})

const select = 'select id, note from item where id = $1'

/** However busy this machine is: what these tests ask for is quick. */
const quick = { slowAfterMs: 2_000 }

/** Runs the text often enough to be known as a fast one. */
async function warm(pool: Pool, text = select, values: readonly unknown[] = [1]): Promise<void> {
  await eventually('the text is known to be fast', async () => {
    await pool.query(text, values)
    await Promise.all(Array.from({ length: 8 }, () => pool.query(text, values)))
    return pool.stats().queries.pipelined > 0
  })
}

test('a saturated pool sends statements on connections that are in use, and each gets its own answer', async () => {
  const pool = testPool(database.url, { max: 2, pipelining: quick })
  await warm(pool)
  const before = pool.stats().queries
  const rows = await Promise.all(
    Array.from({ length: 500 }, async (_, n) => (await pool.query(select, [(n % 100) + 1])).rows[0]),
  )
  expect(rows).toEqual(Array.from({ length: 500 }, (_, n) => ({ id: (n % 100) + 1, note: `note ${(n % 100) + 1}` })))
  expect(pool.stats().queries.pipelined - before.pipelined).toBeGreaterThan(100)
  expect(pool.stats()).toMatchObject({ pool: { active: 0, shared: 0 }, waits: { waiting: 0 } })
})

test('an error is that of its own statement', async () => {
  const pool = testPool(database.url, { max: 1 })
  const text = 'select 10 / $1::int as ten'
  await warm(pool, text)
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => pool.query(text, [n % 4])))
  for (const [n, outcome] of outcomes.entries()) {
    if (n % 4 === 0) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: '22012' } })
    else expect(outcome).toMatchObject({ value: { rows: [{ ten: Math.trunc(10 / (n % 4)) }] } })
  }
  expect(pool.stats()).toMatchObject({ pool: { opened: 1, active: 0 } })
})

test('pipelining: false never shares', async () => {
  const pool = testPool(database.url, { max: 1, pipelining: false })
  for (let n = 0; n < 3; n++) await Promise.all(Array.from({ length: 20 }, () => pool.query(select, [1])))
  expect(pool.stats().queries.pipelined).toBe(0)
})

test('what may begin a transaction or change the session has its connection to itself', async () => {
  const pool = testPool(database.url, { max: 1 })
  await warm(pool, 'insert into written values ($1)', [0])
  await pool.query('delete from written')
  const work: Promise<unknown>[] = []
  for (let n = 1; n <= 50; n++) {
    work.push(pool.query('insert into written values ($1)', [n]))
    if (n % 10 === 0) work.push(pool.query('begin; select 1; commit'), pool.query('set local work_mem = 1000'))
  }
  await Promise.all(work)
  const { rows } = await pool.query('select count(*)::int as n from written')
  expect(rows).toEqual([{ n: 50 }])
})

test('whoever needs a connection alone is not passed by those who share, and does not share it', async () => {
  const pool = testPool(database.url, { max: 2 })
  await warm(pool)
  let running = true
  const busy = Array.from({ length: 32 }, async () => {
    while (running) await pool.query(select, [7])
  })
  for (let n = 0; n < 20; n++) {
    await pool.withTransaction(async (tx) => {
      const first = await tx.query<{ id: string }>('select pg_current_xact_id()::text as id')
      const second = await tx.query<{ id: string }>('select pg_current_xact_id()::text as id')
      expect(second.rows).toEqual(first.rows)
    })
  }
  running = false
  await Promise.all(busy)
  expect(pool.stats().pool.active).toBe(0)
})

test('nothing is sent behind a statement that is slow', async () => {
  const pool = testPool(database.url, { max: 2 })
  await warm(pool)
  const slow = pool.query('select pg_sleep(1.5)')
  const until = performance.now() + 300
  let worst = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() < until) {
        const start = performance.now()
        await pool.query(select, [3])
        worst = Math.max(worst, performance.now() - start)
      }
    }),
  )
  // All of them went round on the other connection, while the slow one still ran.
  expect(worst).toBeLessThan(1_200)
  await slow
})

test('a server that is slow is not taken for one that is far away: a burst waits in the queue, not on the connections', async () => {
  const pool = testPool(database.url, { max: 2 })
  const slow = 'select pg_sleep(0.01)'
  for (let n = 0; n < 3; n++) await Promise.all([pool.query(slow), pool.query(slow)])
  const burst = Array.from({ length: 64 }, () => pool.query(slow))
  // 2 run, 2 have been sent behind those, and perhaps another one or two.
  expect(pool.stats().waits.waiting).toBeGreaterThanOrEqual(56)
  await Promise.all(burst)
})

test('a server that is far away gets many statements at a time, once it is known to be quick', async () => {
  await using proxy = await startFaultProxy({ target: database.url, roundTripMs: 40 })
  const pool = testPool(proxy.url, { max: 1 })
  await pool.query(select, [1])
  await pool.query(select, [1])
  const waiting = async (): Promise<number> => {
    const burst = Array.from({ length: 64 }, () => pool.query(select, [1]))
    const queued = pool.stats().waits.waiting
    await Promise.all(burst)
    return queued
  }
  // At first one is sent behind another, to see what the way is and what the server.
  expect(await waiting()).toBeGreaterThanOrEqual(62)
  await eventually('as many are under way as may be', async () => (await waiting()) === 64 - 16)
})

test('a statement that is given up on a pipelined connection is the only one that notices', async () => {
  const pool = testPool(database.url, { max: 1, pipelining: { slowAfterMs: 1_000 } })
  const text = 'select pg_sleep($1), $2::int as mark'
  await warm(pool, text, [0, 0])
  for (let round = 0; round < 10; round++) {
    const others = Array.from({ length: 6 }, (_, mark) => pool.query(text, [0.002, mark]))
    const given = rejection(pool.query(text, [30, 99], { timeoutMs: 20 + round * 3 }))
    const behind = Array.from({ length: 6 }, (_, mark) => pool.query(text, [0.002, mark]))
    // On a busy machine its time may be up before it is its turn.
    expect(await given).toMatchObject({ code: expect.stringMatching(/^LIFEGUARD_(ACQUIRE_)?TIMEOUT$/) })
    const marks = (await Promise.all([...others, ...behind])).map(({ rows }) => rows[0]?.['mark'])
    expect(marks).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
  }
  expect(pool.stats().pool.opened).toBe(1)
})

test('ten thousand callers at once are served, and no more than the bound is under way on a connection', async () => {
  const pool = testPool(database.url, { max: 2, pipelining: quick, acquireTimeoutMs: 60_000, overload: false })
  await warm(pool)
  const asked = Array.from({ length: 10_000 }, (_, n) => pool.query(select, [(n % 100) + 1]))
  expect(pool.stats().waits.waiting).toBeGreaterThan(9_000)
  for (const [n, { rows }] of (await Promise.all(asked)).entries()) expect(rows[0]).toMatchObject({ id: (n % 100) + 1 })
})

test('large values among small ones arrive whole', async () => {
  const pool = testPool(database.url, { max: 2, pipelining: { maxBytes: 100_000 } })
  const text = 'select length($1::text) as n, md5($1::text) as md5'
  await warm(pool, text, ['x'])
  const sizes = Array.from({ length: 60 }, (_, n) => (n % 10 === 0 ? 3_000_000 + n : n % 7 === 0 ? 70_000 + n : n))
  const lengths = await Promise.all(
    sizes.map(async (size) => (await pool.query(text, ['ü'.repeat(size)])).rows[0]?.['n']),
  )
  expect(lengths).toEqual(sizes)
})

test('a cut connection: who was under way hears so, who was not is served by another', async () => {
  await using proxy = await startFaultProxy({ target: database.url, roundTripMs: 20 })
  const pool = testPool(proxy.url, { max: 2, pipelining: quick })
  const insert = 'insert into written values ($1)'
  await warm(pool, insert, [-1])
  for (let round = 0; round < 5; round++) {
    await pool.query('delete from written')
    const asked = Promise.allSettled(Array.from({ length: 60 }, (_, mark) => pool.query(insert, [mark])))
    await eventually('some are under way', () => pool.stats().pool.shared > 0)
    await proxy.cut()
    const outcomes = await asked
    const { rows } = await eventually('the pool works again', () =>
      pool
        .query<{ mark: number; n: number }>('select mark, count(*)::int as n from written group by mark')
        .catch(() => undefined),
    )
    const times = new Map(rows.map(({ mark, n }) => [mark, n]))
    for (const [mark, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') expect(times.get(mark)).toBe(1)
      else {
        expect(outcome.reason).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST', sent: true })
        expect(times.get(mark) ?? 0).toBeLessThanOrEqual(1)
      }
    }
  }
})

test('callers whose time is up while this process is busy are all answered, however many they are', async () => {
  const pool = testPool(database.url, { max: 1, overload: false })
  await pool.query('select 1')
  // The answer of the server is read when the time of the others is up, and before any timer is looked at.
  const slow = (text: string): string => {
    const until = performance.now() + 300
    while (performance.now() < until);
    return text
  }
  const first = pool.query({ text: 'select 1 as one', types: { getTypeParser: () => slow } })
  const late = Array.from({ length: 5_000 }, () => pool.query(select, [1], { timeoutMs: 100 }))
  const outcomes = await Promise.allSettled(late)
  expect((await first).rows).toEqual([{ one: '1' }])
  const codes = outcomes.map((one) => (one.status === 'rejected' ? (one.reason as { code?: string }).code : 'ok'))
  expect(codes.filter((code) => code !== 'LIFEGUARD_TIMEOUT')).toEqual([])
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.stats()).toMatchObject({ pool: { active: 0, opened: 1, closed: 0 }, waits: { waiting: 0 } })
})
