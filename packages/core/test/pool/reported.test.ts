import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { setTimeout as pause } from 'node:timers/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import type { PoolClient } from 'pg'
import copyStreams from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { expect, test } from 'vitest'
import { type Pool, type PoolEvents, type QueryTrace, sql } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create table item (n int);
    create table parent (id int primary key);
    create table child (parent int references parent (id) deferrable initially deferred);
  `,
})

/** Never to be seen outside of the database. */
const secret = 'grace.hopper@example.org'

type QueryEvent = PoolEvents['query']

/** A pool that is warm, and all that is reported of its statements from here on. */
async function watched(
  options: Parameters<typeof testPool>[1] = {},
): Promise<{ pool: Pool; events: QueryEvent[]; slow: QueryEvent[] }> {
  const pool = testPool(database.url, options)
  await pool.query('select 1')
  const events: QueryEvent[] = []
  const slow: QueryEvent[] = []
  pool.on('query', (event) => events.push(event))
  pool.on('slow-query', (event) => slow.push(event))
  return { pool, events, slow }
}

/** What the numbers say of the work, in comparison with before. */
async function counted(
  pool: Pool,
  work: () => Promise<unknown>,
): Promise<{ ok: number; failed: number; timed: number }> {
  const before = pool.stats()
  await work()
  const after = pool.stats()
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((all, one) => all + one, 0)
  return {
    ok: after.queries.ok - before.queries.ok,
    failed: sum(after.queries.failed) - sum(before.queries.failed),
    timed: after.queries.durationMs.count - before.queries.durationMs.count,
  }
}

const once = { ok: 1, failed: 0, timed: 1 }
const failedOnce = { ok: 0, failed: 1, timed: 1 }

test('a batch is one statement: its texts, how many, and what they did together', async () => {
  const { pool, events } = await watched()
  const insert = sql`insert into item values (${4711})`
  expect(await counted(pool, () => pool.batch([insert, insert, insert]))).toEqual(once)
  expect(await counted(pool, () => pool.batch([insert, sql`select ${secret}::text as one`]))).toEqual(once)
  expect(events).toMatchObject([
    { text: 'insert into item values ($1)', batchSize: 3, command: 'INSERT', rowCount: 3, error: undefined },
    {
      text: 'insert into item values ($1); select $1::text as one',
      batchSize: 2,
      command: undefined,
      rowCount: 2,
      why: 'the only server',
    },
  ])
  expect(events[0]?.durationMs).toBeGreaterThan(0)
  await pool.query('select 1')
  expect(events.at(-1)?.batchSize).toBeUndefined()
  expect(JSON.stringify(events)).not.toMatch(/4711|grace/)
})

test('a batch that fails, one of very many texts, one inside of a transaction, one put together', async () => {
  const { pool, events } = await watched()
  const wrong = () => rejection(pool.batch([sql`select 1`, sql`select ${secret}::text::int`]))
  expect(await counted(pool, wrong)).toEqual(failedOnce)
  expect(events.pop()).toMatchObject({ batchSize: 2, error: { code: '22P02', message: undefined }, command: undefined })
  expect(pool.stats().queries.failed.user).toBe(1)
  await pool.batch(Array.from({ length: 2_000 }, (_, id) => ({ text: `select ${id} as column_${id}` })))
  const long = events.pop()
  expect(long?.batchSize).toBe(2_000)
  expect(long?.text.length).toBeLessThan(4_200)
  expect(long?.text).toMatch(/^select 0 as column_0; select 1 as column_1; .*\.\.\.$/)
  await pool.withTransaction((tx) => tx.batch([sql`select 1`, sql`select 1`]))
  expect(events.splice(0).map(({ text, batchSize }) => [text, batchSize])).toEqual([
    ['select 1', 2],
    ['commit', undefined],
  ])
  await pool.batchTogether([() => pool.query('select 1'), () => pool.query('select 2')])
  expect(events).toMatchObject([{ text: 'select 1; select 2', batchSize: 2, command: 'SELECT', rowCount: 2 }])
})

test('values that cannot be sent fail a batch, a COPY and a stream as they fail a statement', async () => {
  const { pool, events } = await watched()
  const bad = {
    toPostgres: () => {
      throw new Error(secret)
    },
  }
  const text = 'select $1::text as one'
  const ways: (() => Promise<unknown>)[] = [
    () => pool.query(text, [bad]),
    () => pool.batch([sql`select 1`, { text, values: [bad] }]),
    () => pool.withTransaction((tx) => tx.batch([{ text, values: [bad] }])),
    () => pool.stream(text, [bad]).next(),
  ]
  for (const way of ways) {
    const failed = { ok: 0, failed: 1, timed: 0 }
    expect(await counted(pool, async () => expect(await rejection(way())).toHaveProperty('message', secret))).toEqual(
      failed,
    )
  }
  expect(events.map(({ text, durationMs, error }) => [text, durationMs, error?.class])).toEqual([
    [text, 0, 'user'],
    [`select 1; ${text}`, 0, 'user'],
    [text, 0, 'user'],
    [text, 0, 'user'],
  ])
  expect(JSON.stringify(events)).not.toContain('grace')
})

test('COPY in and out is reported with its rows, and without values', async () => {
  const { pool, events } = await watched()
  expect(await counted(pool, () => pool.copyFrom({ table: 'item', columns: ['n'] }, [[1], [2], [3]]))).toEqual(once)
  expect(events.pop()).toMatchObject({ text: 'copy "item" ("n") from stdin', command: 'COPY', rowCount: 3 })
  const out = async () => {
    for await (const chunk of pool.copyTo(sql`select n, ${secret}::text from item`))
      expect(chunk).toBeInstanceOf(Buffer)
  }
  const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from item')
  events.length = 0
  expect(await counted(pool, out)).toEqual(once)
  const [copied] = events
  expect(copied).toMatchObject({
    text: 'copy (select n, $1::text from item\n) to stdout',
    command: 'COPY',
    rowCount: rows[0]?.n,
  })
  expect(copied?.firstRowMs).toBeGreaterThanOrEqual(0)
  expect(copied?.firstRowMs).toBeLessThanOrEqual(copied?.durationMs ?? 0)
})

test('COPY that fails: on the server, by its rows, by its reader', async () => {
  const { pool, events } = await watched()
  const bad = () => rejection(pool.copyFrom({ table: 'item', columns: ['n'] }, [[secret]]))
  expect(await counted(pool, bad)).toEqual(failedOnce)
  const rows = function* (): Generator<number[]> {
    yield [1]
    throw new Error(secret)
  }
  expect(await counted(pool, () => rejection(pool.copyFrom({ table: 'item' }, rows())))).toEqual(failedOnce)
  const left = async () => {
    for await (const chunk of pool.copyTo(sql`select repeat('x', 1000) from generate_series(1, 1000000)`)) {
      expect(chunk).toBeInstanceOf(Buffer)
      break
    }
    await eventually('it is over', () => events.length === 3)
  }
  expect(await counted(pool, left)).toEqual(failedOnce)
  expect(events).toMatchObject([
    { text: 'copy "item" ("n") from stdin', error: { code: '22P02', message: undefined } },
    { text: 'copy "item" from stdin', error: { class: 'user', message: undefined } },
    { error: { class: 'cancelled' } },
  ])
  expect(JSON.stringify(events)).not.toContain('grace')
})

test('a stream is one statement, whatever it is read in and however it ends', async () => {
  const { pool, events } = await watched()
  const text = 'select generate_series(1, 1000) as n'
  const read = (from: Pick<Pool, 'stream'>) => async () => {
    let rows = 0
    for await (const row of from.stream(text, [], { batchSize: 100 })) rows += Object.keys(row).length
    expect(rows).toBe(1000)
  }
  const whole = { text, command: 'SELECT', rowCount: 1000, error: undefined, batchSize: undefined }
  expect(await counted(pool, read(pool))).toEqual(once)
  expect(events.splice(0)).toMatchObject([whole])
  const connection = await pool.acquire()
  expect(await counted(pool, read(connection))).toEqual(once)
  connection.release()
  expect(events.splice(0)).toMatchObject([whole])
  await pool.withTransaction(async (tx) => {
    await read(tx)()
    await read(pool)()
  })
  expect(events).toMatchObject([whole, whole, { text: 'commit' }])
  for (const { firstRowMs, durationMs } of events.splice(0, 2)) {
    expect(firstRowMs).toBeGreaterThan(0)
    expect(durationMs).toBeGreaterThan(firstRowMs ?? Number.POSITIVE_INFINITY)
  }
  events.length = 0
  const left = async () => {
    for await (const row of pool.stream(text, [], { batchSize: 100 })) if (row['n'] === 150) break
  }
  expect(await counted(pool, left)).toEqual(once)
  expect(events.splice(0)).toMatchObject([{ text, rowCount: 200, error: undefined }])
  const empty = async () => {
    for await (const row of pool.stream('select 1 where false')) expect(row).toBeUndefined()
  }
  expect(await counted(pool, empty)).toEqual(once)
  expect(events).toMatchObject([{ rowCount: 0, firstRowMs: undefined, command: 'SELECT' }])
})

test('a stream that fails: at once, in the middle, with its transaction, at its commit', async () => {
  const { pool, events } = await watched()
  const drain = async (rows: AsyncIterable<unknown>, then: () => Promise<unknown> = async () => undefined) => {
    for await (const row of rows) {
      expect(row).toBeDefined()
      await then()
    }
  }
  expect(await counted(pool, () => rejection(drain(pool.stream('select nothing'))))).toEqual(failedOnce)
  const middle = 'select 10 / (50 - n) as n from generate_series(1, 100) as n'
  expect(await counted(pool, () => rejection(drain(pool.stream(middle, [], { batchSize: 10 }))))).toEqual(failedOnce)
  const deferred = 'insert into child values (1) returning parent'
  expect(await counted(pool, () => rejection(drain(pool.stream(deferred))))).toEqual(failedOnce)
  const lost = pool.withTransaction(
    async (tx) => {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
      const other = testPool(database.url)
      const kill = () => other.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid])
      await drain(tx.stream('select generate_series(1, 10) as n', [], { batchSize: 2 }), kill)
    },
    { retry: false },
  )
  await rejection(lost)
  expect(events.filter(({ text }) => !text.includes('pg_backend_pid'))).toMatchObject([
    { text: 'select nothing', error: { code: '42703' } },
    { text: middle, error: { code: '22012' } },
    { text: deferred, error: { code: '23503' } },
    { text: 'select generate_series(1, 10) as n', error: expect.anything() },
  ])
})

test('the time of a stream is that of its fetches, and not that of its reader', async () => {
  const { pool, events, slow } = await watched({ slowQueryMs: 100 })
  const { slow: before } = pool.stats().queries
  const since = performance.now()
  let pausedMs = 0
  const read = async (rows: AsyncIterable<unknown>): Promise<void> => {
    for await (const row of rows) {
      expect(row).toBeDefined()
      const at = performance.now()
      await pause(40)
      pausedMs += performance.now() - at
    }
  }
  const text = 'select generate_series(1, 4) as n'
  await pool.withTransaction((tx) => read(tx.stream(text, [], { batchSize: 1 })))
  expect(events).toMatchObject([{ text }, { text: 'commit' }])
  expect(events[0]?.durationMs).toBeLessThanOrEqual(performance.now() - since - pausedMs)
  // What is asked ahead comes while the reader pauses.
  events.length = 0
  pausedMs = 0
  await read(pool.stream(text, [], { batchSize: 1 }))
  expect(events).toHaveLength(1)
  expect(events[0]?.durationMs).toBeLessThan(pausedMs / 2)
  for await (const row of pool.stream('select pg_sleep(0.04) from generate_series(1, 3)', [], { batchSize: 1 })) {
    expect(row).toBeDefined()
  }
  expect(slow.at(-1)?.text).toContain('pg_sleep')
  expect(slow.at(-1)?.durationMs).toBeGreaterThan(100)
  expect(pool.stats().queries.slow - before).toBe(slow.length)
})

test('slow batches and COPY are slow queries', async () => {
  const { pool, slow } = await watched({ slowQueryMs: 40 })
  await pool.batch([sql`select 1`, sql`select pg_sleep(0.06)`])
  for await (const chunk of pool.copyTo(sql`select pg_sleep(0.06)`)) expect(chunk).toBeInstanceOf(Buffer)
  await pool.copyFrom(
    { table: 'item' },
    (async function* () {
      await pause(60)
      yield [1]
    })(),
  )
  expect(slow.map(({ text }) => text)).toEqual([
    'select 1; select pg_sleep(0.06)',
    'copy (select pg_sleep(0.06)\n) to stdout',
    'copy "item" from stdin',
  ])
})

test('cursors, streams and COPY streams of other packages, over the facade', async () => {
  const { pool, events } = await watched()
  const client = (await pool.asPgPool().connect()) as unknown as PoolClient
  const since = performance.now()
  let pausedMs = 0
  const cursor = client.query(new Cursor('select generate_series(1, $1) as n', [7]))
  expect(
    await counted(pool, async () => {
      expect(await cursor.read(3)).toHaveLength(3)
      const at = performance.now()
      await pause(50)
      pausedMs = performance.now() - at
      expect(await cursor.read(100)).toHaveLength(4)
      await eventually('it is over', () => events.length === 1)
    }),
  ).toEqual(once)
  expect(events[0]).toMatchObject({ text: 'select generate_series(1, $1) as n', command: 'SELECT', rowCount: 7 })
  expect(events[0]?.firstRowMs).toBeGreaterThan(0)
  expect(events[0]?.durationMs).toBeLessThanOrEqual(performance.now() - since - pausedMs)
  const early = client.query(new Cursor('select generate_series(1, 9) as n'))
  await early.read(2)
  await early.close()
  for await (const row of client.query(new QueryStream('select generate_series(1, 5) as s'))) expect(row).toBeDefined()
  for await (const chunk of client.query(copyStreams.to('copy (select 1) to stdout'))) expect(chunk).toBeDefined()
  const wrong = client.query(new Cursor('select nothing'))
  await rejection(wrong.read(1))
  client.release()
  await eventually('all are over', () => events.length === 5)
  expect(events.slice(1)).toMatchObject([
    { text: 'select generate_series(1, 9) as n', rowCount: 2, error: undefined },
    { text: 'select generate_series(1, 5) as s', rowCount: 5, command: 'SELECT' },
    { text: 'copy (select 1) to stdout', rowCount: 1, command: 'COPY' },
    { text: 'select nothing', error: { code: '42703' } },
  ])
})

/** Waits until the session of this pool that was asked last was asked this. */
async function asked(application: string, pattern: string): Promise<void> {
  const admin = testPool(database.url)
  const text = 'select from pg_stat_activity where application_name = $1 and query ~ $2'
  await eventually(
    `${application} asks ${pattern}`,
    async () => (await admin.query(text, [application, pattern])).rows.length > 0,
  )
}

// A heartbeat that is not answered before the next one is due ends the session: on a busy machine that must be long.
test('LISTEN and UNLISTEN, on their session beside the pool; a sign of life is none', async () => {
  const { pool, events } = await watched({ name: 'reported_listen', listen: { heartbeatMs: 500 } })
  const { ok } = pool.stats().queries
  await using stays = await pool.listen('stays', async () => undefined)
  const subscription = await pool.listen(['jobs', 'mail'], async () => undefined)
  await asked('reported_listen', '^$')
  await subscription.unlisten()
  expect(stays.channels).toEqual(['stays'])
  expect(events.map(({ text }) => text)).toEqual([
    'listen "stays"',
    'listen "jobs"; listen "mail"',
    'unlisten "jobs"; unlisten "mail"',
  ])
  expect(events[0]).toMatchObject({ command: 'LISTEN', role: 'primary', error: undefined })
  expect(pool.stats().queries.ok - ok).toBe(3)
})

test('locks are reported by what takes them and gives them back; their heartbeats are not', async () => {
  const { pool, events } = await watched({ name: 'reported_locks', locks: { heartbeatMs: 500 } })
  await pool.withLock('warm', async () => undefined)
  events.length = 0
  await pool.withLock(secret, () => asked('reported_locks', 'count.*pg_locks'))
  await pool.withLock(['one', 'two'], async () => undefined, { scope: 'transaction' })
  expect(events.map(({ text }) => text)).toEqual([
    'select pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8)',
    'select pg_catalog.pg_advisory_unlock($1::pg_catalog.int8) as held_0',
    'select pg_catalog.pg_advisory_xact_lock($1::pg_catalog.int8)',
    'commit',
  ])
})

test('each of them is traced once, in the context of whoever asked for it', async () => {
  const { pool } = await watched({ max: 1 })
  const requests = new AsyncLocalStorage<number>()
  const seen: [string, string, number | undefined][] = []
  const done: QueryTrace[] = []
  const at = (step: string) => (trace: QueryTrace) => {
    seen.push([step, trace.text, requests.getStore()])
    if (step === 'asyncEnd') done.push(trace)
  }
  const channels = tracingChannel<unknown, QueryTrace>('pg-lifeguard:query')
  const tracer = {
    start: at('start'),
    end: at('end'),
    asyncStart: at('asyncStart'),
    asyncEnd: at('asyncEnd'),
    error: at('error'),
  }
  channels.subscribe(tracer)
  await Promise.all(
    [1, 2, 3].map((id) =>
      requests.run(id, async () => {
        const rows = pool.stream(`select generate_series(1, 9) as request_${id}`, [], { batchSize: 2 })
        // Read by somebody else.
        await requests.run(99, async () => {
          for await (const row of rows) expect(row).toBeDefined()
        })
        await pool.batch([{ text: `select 1 as request_${id}` }, { text: `select 2 as request_${id}` }])
        await rejection(pool.batch([{ text: `select nothing as request_${id}` }]))
        const client = (await pool.asPgPool().connect()) as unknown as PoolClient
        const cursor = client.query(new Cursor(`select generate_series(1, 3) as request_${id}`))
        await cursor.read(10)
        await cursor.close()
        client.release()
      }),
    ),
  )
  await eventually('all are over', () => done.length === 12)
  channels.unsubscribe(tracer)
  expect(seen.filter(([, text, store]) => store !== Number(/request_(\d)/.exec(text)?.[1]))).toEqual([])
  expect(seen.filter(([step]) => step === 'start')).toHaveLength(12)
  expect(seen.filter(([step]) => step === 'error')).toHaveLength(3)
  const streamed = done.find(({ text }) => text.includes('generate_series(1, 9)'))
  expect(streamed).toMatchObject({ rowCount: 9, command: 'SELECT', firstRowMs: expect.any(Number) })
  expect(done.find(({ text }) => text.includes('; '))).toMatchObject({ batchSize: 2, rowCount: 2 })
})

test('each class of failure has its series from the start', () => {
  const { failed } = testPool(database.url).stats().queries
  expect(Object.keys(failed)).toEqual(
    expect.arrayContaining(['conflict', 'deadlock', 'connection', 'user', 'cancelled']),
  )
  expect(new Set(Object.values(failed))).toEqual(new Set([0]))
})

test('a retry says what the server said, whatever the callback has made of it', async () => {
  const pool = testPool(database.url)
  const retries: PoolEvents['retry'][] = []
  pool.on('retry', (event) => retries.push(event))
  const raise = "do $$ begin raise exception 'again' using errcode = '40001'; end $$"
  const callbacks: ((tx: { query(text: string): Promise<unknown> }) => Promise<unknown>)[] = [
    (tx) => tx.query(raise),
    (tx) => tx.query(raise).catch(() => Promise.reject(undefined)),
    (tx) => tx.query(raise).catch((error) => Promise.reject(new Error('wrapped', { cause: error }))),
    (tx) => tx.query(raise).catch(() => Promise.reject(new Error('hidden'))),
    (tx) => tx.query(raise).catch(() => 'swallowed'),
    (tx) => tx.query(raise).catch(() => tx.query('select 1')),
  ]
  for (const callback of callbacks) {
    await pool.withTransaction(async (tx) => {
      if (tx.attempt === 1) return await callback(tx)
      expect(tx.retries).toMatchObject([{ attempt: 1, reason: 'conflict', error: { code: '40001', message: 'again' } }])
      return undefined
    })
  }
  let attempts = 0
  await pool.withOptimisticRetry(async () => {
    if (++attempts > 1) return
    await pool.query(raise).catch((error) => Promise.reject(new Error('wrapped', { cause: error })))
  })
  expect(retries).toHaveLength(callbacks.length + 1)
  for (const { reason, error } of retries) {
    expect(reason).toBe('conflict')
    expect(error).toMatchObject({ code: '40001', message: 'again' })
  }
})
