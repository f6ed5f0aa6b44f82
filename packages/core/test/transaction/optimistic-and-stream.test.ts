import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { InvalidArgumentError, type Pool, VersionConflictError } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: 'create table item (id int primary key, stock int not null, version int not null)',
})

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url)
  await pool.query('truncate item; insert into item values (7, 30, 1)')
})

async function takeOne(): Promise<void> {
  const { rows } = await pool.query<{ stock: number; version: number }>('select stock, version from item where id = 7')
  const { stock = 0, version = 0 } = rows[0] ?? {}
  const { rowCount } = await pool.query(
    'update item set stock = $1, version = version + 1 where id = 7 and version = $2',
    [stock - 1, version],
  )
  if (rowCount === 0) throw new VersionConflictError('item 7')
}

test('a stream on an acquired connection is in the transaction that was begun there by a statement', async () => {
  {
    await using connection = await pool.acquire()
    await connection.query('begin isolation level serializable')
    await connection.query('update item set stock = 0')
    for await (const { stock } of connection.stream<{ stock: number }>('select stock from item')) expect(stock).toBe(0)
    for await (const _ of connection.stream('select * from item, generate_series(1, 1000)', [], { batchSize: 10 }))
      break
    const { rows } = await connection.query("select current_setting('transaction_isolation') as level")
    expect(rows).toEqual([{ level: 'serializable' }])
    await connection.query('rollback')
    // Also one that nobody has waited for yet.
    const begun = connection.query('begin')
    for await (const _ of connection.stream('delete from item returning *')) await begun
    await connection.query('rollback')
  }
  expect((await pool.query('select stock from item')).rows).toEqual([{ stock: 30 }])
})

describe('withOptimisticRetry', () => {
  test('runs again on a conflict, and loses no update', async () => {
    let runs = 0
    await Promise.all(
      Array.from({ length: 30 }, () =>
        pool.withOptimisticRetry(
          async () => {
            runs += 1
            await takeOne()
          },
          { attempts: 200 },
        ),
      ),
    )
    expect((await pool.query('select stock, version from item')).rows).toEqual([{ stock: 0, version: 31 }])
    expect(runs).toBeGreaterThan(30)
    expect(pool.stats().retries).toBe(runs - 30)
  })

  test('throws the conflict itself after the last attempt, and anything else at once', async () => {
    const attempts: number[] = []
    const error = await rejection(
      pool.withOptimisticRetry(
        async ({ attempt }) => {
          attempts.push(attempt)
          throw new VersionConflictError('item 7')
        },
        { attempts: 3, backoff: { baseMs: 1 } },
      ),
    )
    expect(error).toMatchObject({ code: 'LIFEGUARD_VERSION_CONFLICT', subject: 'item 7', retryable: true })
    expect(attempts).toEqual([1, 2, 3])
    let runs = 0
    await rejection(
      pool.withOptimisticRetry(async () => {
        runs += 1
        await pool.query('select 1/0')
      }),
    )
    expect(runs).toBe(1)
  })

  test('does not retry a serialization failure inside a transaction: that is for the transaction', async () => {
    let inner = 0
    let outer = 0
    await pool.withTransaction(async (tx) => {
      outer += 1
      await pool.withOptimisticRetry(async () => {
        inner += 1
        if (outer === 1) await tx.query("do $$ begin raise exception 'again' using errcode = '40001'; end $$")
      })
    })
    expect({ inner, outer }).toEqual({ inner: 2, outer: 2 })
  })

  test('what runs inside is cancelled on the server when its time is up, or its signal aborts', async () => {
    const work = (): Promise<unknown> => pool.query('insert into item select 1, 1, 1 from pg_sleep(30)')
    const late = await rejection(pool.withOptimisticRetry(work, { timeoutMs: 100 }))
    expect(late).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    const abort = new AbortController()
    const aborted = rejection(pool.withOptimisticRetry(work, { signal: abort.signal }))
    await eventually('it runs', () => pool.stats().pool.active > 0)
    abort.abort()
    expect(await aborted).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    const running = "select 1 from pg_stat_activity where query like 'insert into item select%' and state = 'active'"
    await eventually('nothing runs', async () => (await pool.query(running)).rows.length === 0)
  })

  test('stops at its deadline, and refuses nonsense', async () => {
    const error = await rejection(
      pool.withOptimisticRetry(() => Promise.reject(new VersionConflictError('x')), {
        attempts: 1e6,
        timeoutMs: 30,
        backoff: { baseMs: 10, capMs: 10 },
      }),
    )
    expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    expect(await rejection(pool.withOptimisticRetry(async () => undefined, { attempts: 0 }))).toBeInstanceOf(
      InvalidArgumentError,
    )
  })
})

describe('stream', () => {
  test('gives every row in order, in batches that it fetches when they are asked for', async () => {
    const seen: number[] = []
    for await (const { n } of pool.stream<{ n: number }>('select n from generate_series(1, $1) n', [1_005], {
      batchSize: 100,
    }))
      seen.push(n)
    expect(seen).toEqual(Array.from({ length: 1_005 }, (_, i) => i + 1))
    const sizes: number[] = []
    for await (const batch of pool.streamBatches({ text: 'select generate_series(1, 25)' }, { batchSize: 10 }))
      sizes.push(batch.length)
    expect(sizes).toEqual([10, 10, 5])
    expect(pool.stats().pool.active).toBe(0)
  })

  test('left early frees its connection', async () => {
    for await (const { n } of pool.stream<{ n: number }>('select generate_series(1, 1000000000) as n'))
      if (n === 3) break
    expect(pool.stats().pool.active).toBe(0)
    expect(
      (
        await pool.query(
          "select 1 from pg_stat_activity where datname = current_database() and state = 'idle in transaction'",
        )
      ).rows,
    ).toEqual([])
  })

  test('lets other statements of the transaction run between its rows', async () => {
    await pool.withTransaction(async (tx) => {
      for await (const { n } of tx.stream<{ n: number }>('select n from generate_series(1, 50) n', [], {
        batchSize: 7,
      })) {
        await tx.query('insert into item values ($1, 0, 0)', [100 + n])
      }
      for await (const row of pool.stream('select 1 as one')) expect(row).toEqual({ one: 1 })
      expect((await tx.query("select name from pg_cursors where name <> ''")).rows).toEqual([])
    })
    expect((await pool.query('select count(*)::int as n from item where id > 100')).rows).toEqual([{ n: 50 }])
  })

  test('commits what an INSERT ... RETURNING did, also when it is left early', async () => {
    for await (const _ of pool.stream(
      'insert into item select n, 0, 0 from generate_series(200, 299) n returning id',
      [],
      { batchSize: 10 },
    ))
      break
    expect((await pool.query('select count(*)::int as n from item where id >= 200')).rows).toEqual([{ n: 100 }])
  })

  test('fails with the error of the server, of a value or of its deadline, and leaves nothing behind', async () => {
    const drain = async (text: string, values: unknown[] = [], timeoutMs?: number): Promise<void> => {
      for await (const _ of pool.stream(text, values, { batchSize: 10, timeoutMs }));
    }
    expect((await rejection(drain('select 1 / (50 - n) from generate_series(1, 100) n'))).code).toBe('22012')
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    expect((await rejection(drain('select $1::json', [circular]))).message).toContain('circular')
    expect(await rejection(drain('select pg_sleep(0.01) from generate_series(1, 100000)', [], 60))).toMatchObject({
      code: 'LIFEGUARD_TIMEOUT',
    })
    await eventually('all is back', () => pool.stats().pool.active === 0)
    expect(await rejection(drain('select 1', [], Number.NaN))).toBeInstanceOf(InvalidArgumentError)
    expect(pool.stats().pool.closed).toBe(0)
  })
})
