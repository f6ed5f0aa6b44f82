import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import {
  InvalidArgumentError,
  OperationTimeoutError,
  type Pool,
  type QueryResult,
  sqlStateOf,
  VersionConflictError,
} from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: 'create table item (id int primary key, name text, version int not null default 1, "odd "" name" text)',
})

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url)
  await pool.query("truncate item; insert into item values (7, 'lamp', 3, 'x')")
})

/** Statements of this test that still run on the server. */
async function running(): Promise<number> {
  const { rows } = await pool.query(
    "select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()",
  )
  return rows.length
}

describe('withDeadline', () => {
  test('cancels on the server what runs when the time is up, and answers the caller', async () => {
    let signal: AbortSignal | undefined
    const error = await rejection(
      pool.withDeadline(
        async (deadline) => {
          signal = deadline.signal
          expect(deadline.remainingMs()).toBeLessThanOrEqual(50)
          await pool.query('select pg_sleep(30)')
        },
        { timeoutMs: 50 },
      ),
    )
    expect(error).toBeInstanceOf(OperationTimeoutError)
    expect(signal?.aborted).toBe(true)
    await eventually('nothing runs any more', async () => (await running()) === 0)
  })

  test('holds for transactions, locks and connections inside, and the earlier of two deadlines wins', async () => {
    const works: (() => Promise<unknown>)[] = [
      () => pool.withTransaction((tx) => tx.query('select pg_sleep(30)')),
      () => pool.withTransaction(() => pool.query('select pg_sleep(30)'), { timeoutMs: 20_000 }),
      () => pool.withLock('k', () => pool.query('select pg_sleep(30)')),
      () => pool.withDeadline(() => pool.query('select pg_sleep(30)'), { timeoutMs: 20_000 }),
      async () => {
        await using connection = await pool.acquire()
        await connection.query('select pg_sleep(30)')
      },
    ]
    for (const work of works) {
      expect(await rejection(pool.withDeadline(work, { timeoutMs: 500 }))).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
      await eventually('all is back', () => pool.stats().pool.active === 0)
    }
    expect(await running()).toBe(0)
  })

  test('leaves no bound behind', async () => {
    expect(await pool.withDeadline(async () => 'value', { timeoutMs: 1_000 })).toBe('value')
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await rejection(pool.withDeadline(async () => undefined, { timeoutMs: Number.NaN }))).toBeInstanceOf(
      InvalidArgumentError,
    )
  })
})

describe('fanOut', () => {
  test('gives typed values by name', async () => {
    const result = await pool.fanOut({
      one: async () => 1,
      rows: () => pool.query<{ id: number }>('select id from item'),
    })
    expectTypeOf(result.one).toEqualTypeOf<number>()
    expectTypeOf(result.rows).toEqualTypeOf<QueryResult<{ id: number }>>()
    expect(result.one).toBe(1)
    expect(result.rows.rows).toEqual([{ id: 7 }])
  })

  test('cancels the others on the server at the first failure, or at the deadline', async () => {
    const failing = rejection(
      pool.fanOut({
        slow: () => pool.query('select pg_sleep(30)'),
        slower: () => pool.query('select pg_sleep(40)'),
        bad: () => pool.query('select 1/0, pg_sleep(0.02)'),
      }),
    )
    expect((await failing).code).toBe('22012')
    await eventually('nothing runs any more', async () => (await running()) === 0)
    const late = await rejection(pool.fanOut({ slow: () => pool.query('select pg_sleep(30)') }, { timeoutMs: 40 }))
    expect(late).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    await eventually('nothing runs any more', async () => (await running()) === 0)
    expect(pool.stats().pool.closed).toBe(0)
  })

  test('inside a transaction stays in it', async () => {
    await rejection(
      pool.withTransaction(async () => {
        await pool.fanOut({
          a: () => pool.query("insert into item values (8, 'a')"),
          b: () => pool.query("insert into item values (9, 'b')"),
        })
        throw new Error('undo')
      }),
    )
    expect((await pool.query('select id from item')).rows).toEqual([{ id: 7 }])
  })
})

describe('forEachConcurrent', () => {
  test('gives values in order and never runs more than the pool has connections', async () => {
    let now = 0
    let most = 0
    const values = await pool.forEachConcurrent(
      Array.from({ length: 40 }, (_, i) => i),
      async (item, index) => {
        now += 1
        most = Math.max(most, now)
        await pool.withTransaction((tx) => tx.query('select pg_sleep(0.001)'))
        now -= 1
        return item * 10 + (index - item)
      },
      { concurrency: 100 },
    )
    expect(values).toEqual(Array.from({ length: 40 }, (_, i) => i * 10))
    expect(most).toBeLessThanOrEqual(5)
  })

  test('reads an async iterable no faster than it is worked on, and closes it at the first failure', async () => {
    let read = 0
    let done = 0
    let ahead = 0
    let closed = false
    async function* items(): AsyncGenerator<number> {
      try {
        for (;;) {
          ahead = Math.max(ahead, read - done)
          yield read++
        }
      } finally {
        closed = true
      }
    }
    const error = await rejection(
      pool.forEachConcurrent(
        items(),
        async (item) => {
          await pool.query('select $1::int / ($1::int - 20)', [item]).finally(() => {
            done += 1
          })
        },
        { concurrency: 3 },
      ),
    )
    expect(error.code).toBe('22012')
    expect(closed).toBe(true)
    // Each of the three asks for its next item only when it is done with the last one.
    expect(ahead).toBeLessThanOrEqual(3)
  })
})

describe('withFallback', () => {
  test('gives the last good answer while the server is away, marked as stale; never for an error of the statement', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const proxied = testPool(proxy.url, { max: 2 })
    const cache = new Map<string, unknown>()
    const ask = (): Promise<{ value: unknown; stale: boolean }> =>
      proxied.withFallback('item', async () => (await proxied.query('select name from item')).rows, {
        cache,
        timeoutMs: 200,
      })
    expect(await ask()).toMatchObject({ value: [{ name: 'lamp' }], stale: false, ageMs: 0 })
    await proxy.stall()
    expect(await ask()).toMatchObject({ value: [{ name: 'lamp' }], stale: true, error: { code: 'LIFEGUARD_TIMEOUT' } })
    await proxy.resume()
    await eventually('the server is back', async () => (await ask()).stale === false)
    const wrong = await rejection(proxied.withFallback('item', () => proxied.query('select nothing'), { cache }))
    expect(wrong.code).toBe('42703')
    const tooOld = await rejection(
      proxied.withFallback('item', () => proxied.query('select pg_sleep(30)'), {
        cache,
        staleIfErrorMs: 0,
        timeoutMs: 30,
      }),
    )
    expect(tooOld).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    // The way to the server must stay open until the server has stopped it.
    await eventually('all is back', () => proxied.stats().pool.active === 0)
  })

  test('asks once for callers that come together, and not at all within ttlMs', async () => {
    const cache = new Map<string, unknown>()
    let asked = 0
    const ask = (ttlMs: number): Promise<unknown> =>
      pool.withFallback(
        'k',
        async () => {
          asked += 1
          return (await pool.query('select 1 as one')).rows
        },
        { cache, ttlMs },
      )
    await Promise.all(Array.from({ length: 10 }, () => ask(0)))
    expect(asked).toBe(1)
    await ask(60_000)
    expect(asked).toBe(1)
  })
})

describe('a deadline says of what was running whether it took effect', () => {
  test.each<[string, (work: () => Promise<unknown>) => Promise<unknown>]>([
    ['withDeadline', (work) => pool.withDeadline(work, { timeoutMs: 60 })],
    ['fanOut', (work) => pool.fanOut({ work }, { timeoutMs: 60 })],
  ])('%s', async (_, within) => {
    const outcomes = new Set<unknown>()
    let error = await rejection(within(() => pool.query('select pg_sleep(30)')))
    expect(error).toBeInstanceOf(OperationTimeoutError)
    outcomes.add((error as OperationTimeoutError).outcome)
    // An ORM puts an error of its own around it; the caller gets that of the deadline, with it for its cause.
    const wrapped = new Error('the query failed')
    error = await rejection(
      within(async () => {
        wrapped.cause = await rejection(pool.query('select pg_sleep(30)'))
        throw wrapped
      }),
    )
    expect(error).toBeInstanceOf(OperationTimeoutError)
    outcomes.add((error as OperationTimeoutError).outcome)
    // On a busy machine the server may not answer in time, and nobody knows.
    for (const outcome of outcomes) expect(['cancelled', 'unknown']).toContain(outcome)
    if (!outcomes.has('unknown')) expect(error.cause).toBe(wrapped)
    error = await rejection(within(() => new Promise(() => undefined)))
    expect((error as OperationTimeoutError).outcome).toBe('unknown')
  })
})

describe('updateVersioned', () => {
  test('changes the row in its version, counts it up and gives it back', async () => {
    const row = await pool.updateVersioned('public.item', { id: 7, version: 3 }, { name: 'desk', 'odd " name': 'y' })
    expect(row).toEqual({ id: 7, name: 'desk', version: 4, 'odd " name': 'y' })
    expect(await rejection(pool.updateVersioned('item', { id: 7, version: 3 }, { name: 'late' }))).toBeInstanceOf(
      VersionConflictError,
    )
  })

  test('compares the key by pg_catalog: types of extensions as text, or not at all', async () => {
    await pool.query(`
      create extension if not exists citext; create extension if not exists ltree;
      create table account (email citext, place ltree, version int)`)
    await pool.query("insert into account values ('Ada@example.org', 'top.shop', 1)")
    const login = (email: string) => pool.updateVersioned('account', { email, version: 1 }, { email })
    expect(await rejection(login('ada@example.org'))).toBeInstanceOf(VersionConflictError)
    expect(await login('Ada@example.org')).toMatchObject({ email: 'Ada@example.org', version: 2 })
    const moved = pool.updateVersioned('account', { place: 'top.shop', version: 2 }, { place: 'top' })
    expect(sqlStateOf(await rejection(moved))).toBe('42883')
    await pool.query('drop table account')
  })

  test('refuses what cannot be meant', async () => {
    for (const [key, changes] of [
      [{ id: 7 }, { name: 'a' }],
      [{ version: 3 }, { name: 'a' }],
      [{ id: 7, version: 3 }, {}],
      [{ id: 7, version: 3 }, { version: 9 }],
      [{ id: { not: 0 }, version: 3 }, { name: 'a' }],
      [{ id: 7, version: null }, { name: 'a' }],
      [Object.assign(Object.create({ version: 3 }), { id: 7, name: 'a' }), { name: 'b' }],
    ] as const) {
      expect(await rejection(pool.updateVersioned('item', key, changes))).toBeInstanceOf(InvalidArgumentError)
    }
  })
})
