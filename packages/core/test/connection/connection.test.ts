import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import pg from 'pg'
import { expect, test } from 'vitest'
import { ConnectionLostError, OperationAbortedError, OperationTimeoutError, sqlStateOf } from '../../src/index.js'
import { seeded } from '../support/seeded.js'
import { answeredInTime, eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key, name text)' })

test('statements on one connection run one after the other, in the order they were asked for', async () => {
  const pool = testPool(database.url)
  await using connection = await pool.acquire()
  const done: number[] = []
  await Promise.all(
    [30, 1, 10].map(async (ms, index) => {
      await connection.query('select pg_sleep($1)', [ms / 1000])
      done.push(index)
    }),
  )
  expect(done).toEqual([0, 1, 2])
})

test('several statements in one text give several results, as with pg', async () => {
  const pool = testPool(database.url)
  const results = (await pool.query('select 1 as a; select 2 as b')) as unknown as pg.QueryResult[]
  expect(results.map(({ rows }) => rows)).toEqual([[{ a: 1 }], [{ b: 2 }]])
})

test('what the server says stays an untouched DatabaseError of pg', async () => {
  const pool = testPool(database.url)
  const error = await rejection(pool.query('select * from nowhere'))
  expect(error).toBeInstanceOf(pg.DatabaseError)
  expect(error.code).toBe('42P01')
  expect(error.message).toBe('relation "nowhere" does not exist')
})

test('the stack of a server error leads to the line that asked', async () => {
  const pool = testPool(database.url)
  async function theCaller(): Promise<void> {
    await pool.query('select 1/0')
  }
  expect((await rejection(theCaller())).stack).toContain('theCaller')
  async function inTransaction(): Promise<void> {
    await pool.withTransaction(async (tx) => {
      await tx.query('select 1/0')
    })
  }
  expect((await rejection(inTransaction())).stack).toContain('inTransaction')
})

test('a plain SQL error costs no connection', async () => {
  const pool = testPool(database.url, { max: 1 })
  for (let i = 0; i < 20; i++) await rejection(pool.query('select 1/0'))
  expect(pool.stats()).toMatchObject({ pool: { opened: 1, closed: 0, total: 1, idle: 1 } })
})

test('a value that cannot be sent is an error of its query alone', async () => {
  const pool = testPool(database.url, { max: 1 })
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  await rejection(pool.query('select $1::json', [circular]))
  await rejection(pool.withTransaction((tx) => tx.query('select $1::json', [circular])))
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.stats().pool.opened).toBe(1)
})

test('a type parser that throws is an error of its query alone', async () => {
  const pool = testPool(database.url, { max: 1 })
  const types = {
    getTypeParser: () => () => {
      throw new Error('cannot parse this')
    },
  }
  const error = await rejection(pool.query({ text: 'select generate_series(1, 1000) as n', types }))
  expect(error.message).toBe('cannot parse this')
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.stats().pool.opened).toBe(1)
})

test('rowMode array and named statements work, the name is prepared once', async () => {
  const pool = testPool(database.url, { max: 1 })
  const statement = { name: 'two', text: 'select $1::int as a, 2 as b', values: [1], rowMode: 'array' as const }
  expect((await pool.query(statement)).rows).toEqual([[1, 2]])
  expect((await pool.query(statement)).rows).toEqual([[1, 2]])
  const { rows } = await pool.query<{ n: string }>(
    "select count(*) as n from pg_prepared_statements where name = 'two'",
  )
  expect(rows[0]?.n).toBe('1')
})

test('a named statement behind a BEGIN that failed is not taken for prepared', async () => {
  const pool = testPool(database.url, { max: 1 })
  const statement = { name: 'later', text: 'select $1::int as a', values: [1] }
  await rejection(pool.withTransaction((tx) => tx.query(statement), { settings: { no_such_setting: 1 }, retry: false }))
  expect((await pool.query(statement)).rows).toEqual([{ a: 1 }])
})

test('timeoutMs stops the statement on the server and says that nothing took effect', async () => {
  const pool = testPool(database.url, { max: 2 })
  await pool.query('select 1')
  const error = await answeredInTime(() =>
    pool.query('insert into item select 1, pg_sleep(30)::text', [], { timeoutMs: 50 }),
  )
  expect(error).toBeInstanceOf(OperationTimeoutError)
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'cancelled', timeoutMs: 50 })
  expect(sqlStateOf(error)).toBe('57014')
  await eventually('nothing of it runs on the server', async () => {
    const { rows } = await pool.query(
      "select 1 from pg_stat_activity where query like 'insert into item%' and state = 'active'",
    )
    return rows.length === 0
  })
  expect(pool.stats().pool.closed).toBe(0)
})

test('signal stops the statement on the server and is an AbortError with its reason', async () => {
  const pool = testPool(database.url)
  const reason = new Error('the user went away')
  const error = await answeredInTime(async () => {
    const controller = new AbortController()
    const query = pool.query('select pg_sleep(30)', [], { signal: controller.signal })
    query.catch(() => undefined)
    await eventually('the statement runs', async () => {
      const { rows } = await pool.query(
        "select 1 from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'",
      )
      return rows.length === 1
    })
    controller.abort(reason)
    await query
  })
  expect(error).toBeInstanceOf(OperationAbortedError)
  expect(error).toMatchObject({ name: 'AbortError', code: 'LIFEGUARD_ABORTED', outcome: 'cancelled', cause: reason })
})

test('a signal that is aborted already sends nothing', async () => {
  const pool = testPool(database.url)
  const error = await rejection(pool.query('select 1', [], { signal: AbortSignal.abort() }))
  expect(error).toMatchObject({ name: 'AbortError', outcome: 'not-sent' })
  expect(pool.stats().pool.opened).toBe(0)
})

test('a statement that waits on its connection can be given up without touching the one that runs', async () => {
  const pool = testPool(database.url)
  await using connection = await pool.acquire()
  const slow = connection.query('select pg_sleep(0.1), 7 as seven')
  const error = await rejection(connection.query('select 1', [], { timeoutMs: 10 }))
  expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'not-sent' })
  expect((await slow).rows[0]).toMatchObject({ seven: 7 })
})

test('a cancel hits only the statement it was meant for, however the timing falls', async () => {
  const pool = testPool(database.url, { max: 1 })
  await pool.query('select 1')
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 6 })), { maxLength: 8 }),
      async (steps) => {
        for (const [sleepMs, timeoutMs] of steps) {
          const query = pool.query('select pg_sleep($1), $2::int as mark', [sleepMs / 1000, sleepMs], { timeoutMs })
          const [outcome] = await Promise.allSettled([query])
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(OperationTimeoutError)
          else expect(outcome.value.rows[0]).toMatchObject({ mark: sleepMs })
          // No bound of its own: must never see the cancel of the one before.
          expect((await pool.query('select pg_sleep(0.001), 1 as clean')).rows[0]).toMatchObject({ clean: 1 })
        }
      },
    ),
    seeded(25),
  )
  expect(pool.stats().pool.closed).toBe(0)
})

test('a backend killed while its connection idles is no error for anybody', async () => {
  const pool = testPool(database.url, { max: 2 })
  const admin = testPool(database.url, { max: 1 })
  for (let round = 0; round < 5; round++) {
    const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
    await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
    await eventually('the pool has noticed', () => pool.stats().pool.closed === round + 1)
    for (let i = 0; i < 4; i++) expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  }
})

test('a backend killed under a statement rejects it with what the server said, and the next ones work', async () => {
  const pool = testPool(database.url, { max: 2 })
  const admin = testPool(database.url, { max: 1 })
  await using connection = await pool.acquire()
  const running = rejection(connection.query('select pg_sleep(30)'))
  const waiting = rejection(connection.query('select 1'))
  await admin.query('select pg_terminate_backend($1)', [connection.pid])
  expect((await running).code).toBe('57P01')
  const second = await waiting
  expect(second).toBeInstanceOf(ConnectionLostError)
  expect(second).toMatchObject({ sent: false, retryable: true })
  connection.release()
  for (let i = 0; i < 20; i++) expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  expect(pool.stats().pool.active).toBe(0)
})

test('settings, statement timeout and application name hold on every connection', async () => {
  const pool = testPool(database.url, {
    name: 'shop',
    statementTimeoutMs: 1234,
    settings: { work_mem: '7MB', 'app.motto': 'a b\\c' },
  })
  const { rows } = await pool.query(
    "select current_setting('work_mem') as mem, current_setting('app.motto') as motto, current_setting('statement_timeout') as timeout, current_setting('application_name') as name",
  )
  expect(rows).toEqual([{ mem: '7MB', motto: 'a b\\c', timeout: '1234ms', name: 'shop' }])
})
