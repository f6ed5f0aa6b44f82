import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AcquireTimeoutError, type Pool, VersionConflictError } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `
    create table charge (id int);
    create function fail(state text) returns void language plpgsql as $$ begin raise exception 'failed' using errcode = state; end $$`,
})

let pool: Pool
let foreign: pg.Client
beforeEach(async () => {
  pool = testPool(database.url, { environment: { random: () => 0 } })
  foreign = new pg.Client(database.url)
  foreign.on('error', () => undefined)
  await foreign.connect()
})
afterEach(() => foreign.end())

function coded(code: string): Error {
  return Object.assign(new Error(`it said ${code}`), { code })
}

type Helper = (fn: () => Promise<unknown>) => Promise<unknown>

const inTransaction: Helper = (fn) =>
  pool.withTransaction(async (tx) => {
    await tx.query('select 1')
    return await fn()
  })
const helpers: readonly (readonly [string, Helper])[] = [
  ['withTransaction', inTransaction],
  ['withTransaction without a statement', (fn) => pool.withTransaction(fn)],
  ['withTransaction in a nested one', (fn) => inTransaction(() => pool.withTransaction(fn))],
  ['withOptimisticRetry', (fn) => pool.withOptimisticRetry(fn)],
]

/** How often the callback runs, and what comes out. */
async function runs(helper: Helper, fn: () => Promise<unknown>): Promise<{ runs: number; error: unknown }> {
  let count = 0
  const error = await rejection(
    helper(async () => {
      count += 1
      return await fn()
    }),
  )
  return { runs: count, error }
}

describe.each(helpers)("%s runs once when it fails over what is not this pool's", (_, helper) => {
  test.each<readonly [string, () => unknown]>([
    ...['ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'ECONNREFUSED', '40001', '40P01', '08006', '57P01'].map(
      (code) => [`code ${code}`, () => coded(code)] as const,
    ),
    ['such a cause', () => new Error('fetch failed', { cause: coded('ECONNRESET') })],
    ['an AggregateError around it', () => new AggregateError([coded('ECONNREFUSED'), coded('40001')])],
    ['an AggregateError as a cause', () => new Error('x', { cause: new AggregateError([coded('ECONNREFUSED')]) })],
    ["the form of Drizzle's", () => Object.assign(new Error('Failed query', { cause: coded('40001') }), { query: '' })],
    ["the form of Prisma's", () => Object.assign(coded('P2010'), { meta: { driverAdapterError: coded('40001') } })],
  ])('%s', async (_what, make) => {
    const thrown = make()
    expect(
      await runs(helper, async () => {
        throw thrown
      }),
    ).toEqual({ runs: 1, error: thrown })
  })

  test('a statement of another client that met a conflict', async () => {
    const seen = await runs(helper, () => foreign.query("select fail('40001')"))
    expect(seen).toMatchObject({ runs: 1, error: { code: '40001' } })
  })

  test('a client of another pool that lost its connection', async () => {
    const seen = await runs(helper, async () => {
      const other = new pg.Client(database.url)
      other.on('error', () => undefined)
      await other.connect()
      await other.query('select pg_terminate_backend(pg_backend_pid())')
    })
    expect(seen).toMatchObject({ runs: 1 })
  })

  test('another pool of Lifeguard: a conflict, a lost connection, no connection', async () => {
    const other = testPool(database.url, { max: 1, environment: { random: () => 0 } })
    const once = { retry: false } as const
    const conflict = await runs(helper, () => other.query("select fail('40001')"))
    expect(conflict).toMatchObject({ runs: 1, error: { code: '40001' } })
    const inside = await runs(helper, () => other.withTransaction((tx) => tx.query("select fail('40001')"), once))
    expect(inside).toMatchObject({ runs: 1, error: { code: '40001' } })
    const lost = await runs(helper, () => other.query('select pg_terminate_backend(pg_backend_pid())'))
    expect(lost.runs).toBe(1)
    await using nobody = testPool('postgres://127.0.0.1:1/x', { acquireTimeoutMs: 50 })
    const none = await runs(helper, () => nobody.query('select 1'))
    expect(none).toMatchObject({ runs: 1, error: { code: 'LIFEGUARD_SERVER_UNAVAILABLE' } })
  })
})

describe('of what the own server says', () => {
  test.each(['08001', '08006', '57P01', '57P03', 'XX000', '58P01', '53400', '53100'])(
    'an ERROR %s of a statement whose session lives is the answer to that statement: the callback runs once',
    async (state) => {
      const seen = await runs(
        (fn) => pool.withTransaction(fn),
        () => pool.query(`select fail('${state}')`),
      )
      expect(seen).toMatchObject({ runs: 1, error: { code: state } })
    },
  )

  test.each<readonly [string, (error: Error) => unknown]>([
    ['as it is', (error) => error],
    ['as the cause of an error of the caller', (error) => new Error('no charge', { cause: error })],
    ['two causes down', (error) => new Error('a', { cause: new Error('b', { cause: error }) })],
    ['in the form of Prisma', (error) => Object.assign(coded('P2034'), { meta: { driverAdapterError: error } })],
    ['forgotten: it has failed the transaction all the same', () => coded('ECONNRESET')],
  ])('a conflict is judged, %s', async (_what, thrown) => {
    let count = 0
    await pool.withTransaction(async (tx) => {
      count += 1
      if (count > 1) return
      throw thrown(await rejection(tx.query("select fail('40001')")))
    })
    expect(count).toBe(2)
  })

  test('a lost connection is judged, also when the caller throws something else over it', async () => {
    for (const thrown of [(error: Error) => error, () => new Error('no rows')]) {
      let count = 0
      await pool.withTransaction(async (tx) => {
        count += 1
        if (count > 1) return
        throw thrown(await rejection(tx.query('select pg_terminate_backend(pg_backend_pid())')))
      })
      expect(count).toBe(2)
    }
  })

  test('a conflict that a savepoint has undone is no reason for what the caller throws later', async () => {
    const thrown = coded('ECONNRESET')
    const nested = await runs(
      (fn) => pool.withTransaction(fn),
      async () => {
        await rejection(pool.withTransaction((inner) => inner.query("select fail('40001')")))
        throw thrown
      },
    )
    expect(nested).toEqual({ runs: 1, error: thrown })
    const byHand = await runs(
      (fn) => pool.withTransaction(fn),
      async () => {
        await pool.query('savepoint s')
        await rejection(pool.query("select fail('40001')"))
        await pool.query('rollback to savepoint s')
        throw thrown
      },
    )
    expect(byHand).toEqual({ runs: 1, error: thrown })
  })

  test('a value that throws while it is written is the fault of the caller', async () => {
    const thrown = coded('ECONNRESET')
    const value = {
      toPostgres() {
        throw thrown
      },
    }
    const seen = await runs(
      (fn) => pool.withTransaction(fn),
      () => pool.query('select $1::text', [value]),
    )
    expect(seen).toEqual({ runs: 1, error: thrown })
  })

  test("a VersionConflictError of another pool's update is the caller's", async () => {
    const other = testPool(database.url)
    await other.query('create table if not exists versioned (id int, version int)')
    const conflict = (): Promise<unknown> => other.updateVersioned('versioned', { id: 1, version: 1 }, { id: 2 })
    const seen = await runs((fn) => pool.withOptimisticRetry(fn, { attempts: 3 }), conflict)
    expect(seen).toMatchObject({ runs: 1, error: { code: 'LIFEGUARD_VERSION_CONFLICT' } })
    expect((await runs((fn) => other.withOptimisticRetry(fn, { attempts: 3 }), conflict)).runs).toBe(3)
    const wrapped = (): Promise<unknown> =>
      conflict().catch((cause: unknown) => Promise.reject(new Error('wrapped', { cause })))
    expect((await runs((fn) => pool.withOptimisticRetry(fn, { attempts: 3 }), wrapped)).runs).toBe(1)
    expect((await runs((fn) => other.withOptimisticRetry(fn, { attempts: 3 }), wrapped)).runs).toBe(3)
  })

  test('a VersionConflictError is for withOptimisticRetry, whoever throws it', async () => {
    const seen = await runs(
      (fn) => pool.withOptimisticRetry(fn, { attempts: 3 }),
      async () => {
        throw new VersionConflictError('item 7')
      },
    )
    expect(seen.runs).toBe(3)
  })
})

describe('withFallback gives the last good answer', () => {
  const cache = new Map<string, unknown>()
  beforeEach(async () => {
    await pool.withFallback('k', async () => 'good', { cache })
  })
  const ask = (fn: () => Promise<string>): Promise<unknown> => pool.withFallback('k', fn, { cache })

  test.each(['ECONNREFUSED', 'ECONNRESET', '57P01', '53300', 'XX000'])(
    'not for an error of the caller that says %s',
    async (code) => {
      const thrown = coded(code)
      expect(
        await rejection(
          ask(async () => {
            throw new Error('fetch failed', { cause: thrown })
          }),
        ),
      ).toMatchObject({ cause: thrown })
    },
  )

  test("not for another pool's", async () => {
    await using nobody = testPool('postgres://127.0.0.1:1/x', { acquireTimeoutMs: 50 })
    expect(await rejection(ask(async () => String(await nobody.query('select 1'))))).toMatchObject({
      code: 'LIFEGUARD_SERVER_UNAVAILABLE',
    })
    await using busy = testPool(database.url, { max: 1, acquireTimeoutMs: 500 })
    await using _held = await busy.acquire()
    expect(await rejection(ask(async () => String(await busy.query('select 1'))))).toBeInstanceOf(AcquireTimeoutError)
  })

  test('not for what a statement raises; for a lost connection and a busy pool', async () => {
    expect(await rejection(ask(async () => String(await pool.query("select fail('XX000')"))))).toMatchObject({
      code: 'XX000',
    })
    const lost = ask(async () => String(await pool.query('select pg_terminate_backend(pg_backend_pid())')))
    expect(await lost).toMatchObject({ value: 'good', stale: true, error: { code: '57P01' } })
    await using small = testPool(database.url, { max: 1, acquireTimeoutMs: 500 })
    await using _held = await small.acquire()
    const busy = await small.withFallback('k', async () => String(await small.query('select 1')), { cache })
    expect(busy).toMatchObject({ value: 'good', stale: true, error: { code: 'LIFEGUARD_ACQUIRE_TIMEOUT' } })
  })
})
