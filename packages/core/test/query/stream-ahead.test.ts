import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Pool, QueryEvent } from '../../src/index.js'
import { roundTrips } from '../support/round-trips.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create table seen (n int);
    create function see(n int) returns int language plpgsql as $$ begin insert into seen values (n); return n; end $$`,
})
const numbers = 'select n from generate_series(1, 10000) n'
/** Writes down each row that it gives, does something slow or bad from row 21 on. */
const seeing = (then: string): string =>
  `select see(n) as n, case when n > 20 then ${then} end from generate_series(1, 1000) n`
const slowly = seeing('pg_sleep(30)::text')
const badly = seeing('(1 / (n - n))::text')
const tens = { batchSize: 10 }

beforeEach(async () => {
  await testPool(database.url, { max: 1 }).query('truncate seen')
})

async function seen(): Promise<number> {
  const { rows } = await testPool(database.url, { max: 1 }).query<{ n: number }>('select count(*)::int as n from seen')
  return rows[0]?.n ?? -1
}

/** What the sessions of the test's database do, but for the one that asks. */
async function states(): Promise<string[]> {
  const { rows } = await testPool(database.url, { max: 1 }).query<{ state: string }>(
    `select state from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and application_name = 'streaming'`,
  )
  return rows.map(({ state }) => state)
}

const streaming = (url: string): Pool => testPool(url, { max: 1, applicationName: 'streaming' })

/** The second batch was given, so that the third has been asked for. */
async function afterTwoBatches(
  pool: Pool,
  text: string,
  options: object = {},
): Promise<AsyncGenerator<object[], void>> {
  const batches = pool.streamBatches({ text }, { ...tens, ...options })
  for (const first of [1, 11]) expect((await batches.next()).value?.[0]).toMatchObject({ n: first })
  return batches
}

async function isFree(pool: Pool): Promise<void> {
  expect(pool.stats().pool.active).toBe(0)
  expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  expect(await states()).not.toContain('idle in transaction')
}

async function drain(rows: AsyncIterable<unknown>): Promise<number> {
  let count = 0
  for await (const _ of rows) count += 1
  return count
}

async function sizesOf(pool: Pick<Pool, 'streamBatches'>, text: string, options?: object): Promise<number[]> {
  const sizes: number[] = []
  for await (const batch of pool.streamBatches({ text }, options)) sizes.push(batch.length)
  return sizes
}

describe('round trips', () => {
  const counted = async (proxy: FaultProxy, run: () => Promise<unknown>): Promise<number> => {
    const before = await roundTrips(proxy)
    await run()
    return (await roundTrips(proxy)) - before
  }

  test('10,000 small rows take a few, in a transaction too', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    await pool.query('select 1')
    // Six fetches and COMMIT; some more where the machine is so busy that rows seem to come slowly.
    expect(await counted(proxy, async () => expect(await drain(pool.stream(numbers))).toBe(10_000))).toBeLessThan(20)
    const inTransaction = () => pool.withTransaction(async (tx) => expect(await drain(tx.stream(numbers))).toBe(10_000))
    expect(await counted(proxy, inTransaction)).toBeLessThan(20)
    // And one more each for COMMIT and the fetch that finds nothing.
    const inThousands = async () => expect(await drain(pool.stream(numbers, [], { batchSize: 1_000 }))).toBe(10_000)
    expect(await counted(proxy, inThousands)).toBe(12)
  })

  test('one batch is asked for ahead, once a second one was wanted, and never more', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    const batches = pool.streamBatches({ text: numbers }, tens)
    await batches.next()
    const atFirst = await roundTrips(proxy)
    expect(await states()).toEqual(['idle in transaction'])
    expect(await roundTrips(proxy)).toBe(atFirst)
    await batches.next()
    await eventually('the third is asked for', async () => (await roundTrips(proxy)) === atFirst + 2)
    expect(await states()).toEqual(['idle in transaction'])
    expect(await roundTrips(proxy)).toBe(atFirst + 2)
    expect((await batches.next()).value?.[0]).toEqual({ n: 21 })
    await batches.return()
    await isFree(pool)
  })
})

describe('how many rows are fetched', () => {
  test('follows their size, from 100 on', async () => {
    const pool = streaming(database.url)
    const wide = "select repeat('x', 20000) from generate_series(1, 150) n"
    const sizes = await pool.withTransaction((tx) => sizesOf(tx, wide))
    expect(sizes[0]).toBe(100)
    expect(Math.max(...sizes.slice(1))).toBeLessThanOrEqual(13)
    const small = await sizesOf(pool, numbers)
    expect(small[0]).toBe(100)
    expect(Math.max(...small)).toBe(2_000)
    // One that is long among many that are not.
    const mixed = "select case when n = 50 then repeat('x', 1000000) else 'x' end from generate_series(1, 105) n"
    expect(await sizesOf(pool, mixed)).toEqual([100, 4, 1])
  })

  test('is as many as the caller says, then always', async () => {
    const pool = streaming(database.url)
    expect(await sizesOf(pool, 'select generate_series(1, 25)', tens)).toEqual([10, 10, 5])
    const read = (tx: Pick<Pool, 'streamBatches'>) => sizesOf(tx, 'select generate_series(1, 25)', tens)
    expect(await pool.withTransaction(read)).toEqual([10, 10, 5])
  })

  test('stays small where the rows come slowly', async () => {
    const slow = 'select n, pg_sleep(0.004) from generate_series(1, 250) n'
    expect(await sizesOf(streaming(database.url), slow)).toEqual([100, 100, 50])
  })
})

describe('rows that are long', () => {
  const long = (rows: number, bytes: number): string =>
    `select see(n) as n, repeat('x', ${bytes}) as x from generate_series(1, ${rows}) n`

  test.each([
    [300, 20_000],
    [120, 400_000],
    [110, 1_500_000],
  ])('%i of %i bytes are given as they come, about a megabyte at a time', async (rows, bytes) => {
    const pool = streaming(database.url)
    const given: number[] = []
    let most = 0
    for await (const batch of pool.streamBatches<{ n: number }>({ text: long(rows, bytes) })) {
      most = Math.max(most, batch.length)
      given.push(...batch.map(({ n }) => n))
    }
    expect(given).toEqual(Array.from({ length: rows }, (_, at) => at + 1))
    // What came in one chunk with the last of them comes with them.
    expect((most - 1) * bytes).toBeLessThan(1_200_000)
    await isFree(pool)
  })

  test('wait on the server for a reader that is slow, whose time does not count', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    const events: QueryEvent[] = []
    pool.on('query', (event) => events.push(event))
    const beganAt = performance.now()
    const batches = pool.streamBatches({ text: long(60, 1_500_000) })
    await batches.next()
    const since = performance.now()
    await eventually('it stands', async () => {
      const before = (await proxy.stats()).bytes.toClient
      await new Promise((resolve) => setTimeout(resolve, 100))
      return (await proxy.stats()).bytes.toClient === before
    })
    expect((await proxy.stats()).bytes.toClient).toBeLessThan(60_000_000)
    const pausedMs = performance.now() - since
    expect(await drain(batches)).toBeGreaterThan(0)
    expect(events).toMatchObject([{ rowCount: 60, error: undefined }])
    expect(events[0]?.durationMs).toBeLessThan(performance.now() - beganAt - pausedMs)
    await isFree(pool)
  })

  test('are dropped when the reader leaves, and what the statement has done is committed', async () => {
    const pool = streaming(database.url)
    for await (const { n } of pool.stream<{ n: number }>(long(110, 1_000_000))) if (n === 3) break
    await isFree(pool)
    expect(await seen()).toBe(100)
  })

  test.each(['abort', 'throw', 'timeout'])('and a reader that is away: %s', async (how) => {
    const pool = streaming(database.url)
    const abort = new AbortController()
    const options = how === 'timeout' ? { timeoutMs: 1_000 } : { signal: abort.signal }
    const batches = pool.streamBatches({ text: long(100, 1_500_000) }, options)
    await batches.next()
    const mine = new Error('mine')
    if (how === 'throw') expect(await rejection(batches.throw(mine))).toBe(mine)
    else {
      abort.abort()
      if (how === 'timeout') await new Promise((resolve) => setTimeout(resolve, 1_100))
      const code = how === 'abort' ? 'LIFEGUARD_ABORTED' : 'LIFEGUARD_TIMEOUT'
      expect(await rejection(drain(batches))).toMatchObject({ code })
    }
    await eventually('nothing runs', async () => !(await states()).includes('active'))
    await isFree(pool)
    // In its first batch, to throw is to leave.
    expect(await seen()).toBe(how === 'throw' ? 100 : 0)
  })

  test('do not keep a pool from ending, nor hide that a connection is lost', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    const lost = pool.streamBatches({ text: long(100, 1_500_000) })
    await lost.next()
    await proxy.cut()
    expect(await rejection(drain(lost))).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
    await isFree(pool)
    const left = pool.streamBatches({ text: long(100, 1_500_000) })
    await left.next()
    await pool.end({ timeoutMs: 200 })
    await rejection(drain(left))
    await eventually('its session is gone', async () => (await states()).length === 0)
  })

  test('come whole where the caller says how many, and in a transaction', async () => {
    const pool = streaming(database.url)
    expect(await sizesOf(pool, long(5, 1_500_000), { batchSize: 3 })).toEqual([3, 2])
    expect(await pool.withTransaction((tx) => sizesOf(tx, long(5, 1_500_000)))).toEqual([5])
  })

  test('and one that cannot be read', async () => {
    const pool = streaming(database.url)
    const thrown = new Error('unreadable')
    let reads = 0
    const types = {
      getTypeParser: () => (text: string) => {
        if (text.startsWith('x') && ++reads > 3) throw thrown
        return text
      },
    }
    const given: unknown[] = []
    const read = async (): Promise<void> => {
      for await (const batch of pool.streamBatches({ text: long(20, 1_500_000), types })) given.push(...batch)
    }
    expect(await rejection(read())).toBe(thrown)
    expect(given).toHaveLength(3)
    await isFree(pool)
  })
})

describe('a consumer that leaves while the next batch is asked for', () => {
  test('waits for it where that is quick: nothing is cancelled, and what was given stays done', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    let rows = 0
    for await (const _ of pool.stream(seeing("''"), [], tens)) if (++rows === 15) break
    await isFree(pool)
    expect((await proxy.stats()).cancelRequests).toBe(0)
    // The third batch is undone: nobody has got it.
    expect(await seen()).toBe(20)
  })

  test('has it cancelled where it takes long, and what was given stays done', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    const events: QueryEvent[] = []
    pool.on('query', (event) => events.push(event))
    const startedAt = performance.now()
    let rows = 0
    for await (const _ of pool.stream(slowly, [], tens)) if (++rows === 15) break
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    expect(events).toMatchObject([{ text: slowly, rowCount: 20, error: undefined }])
    await isFree(pool)
    expect((await proxy.stats()).cancelRequests).toBe(1)
    expect(await seen()).toBe(20)
  })

  test('hears nothing of its failure, and what was given stays done', async () => {
    const pool = streaming(database.url)
    const batches = await afterTwoBatches(pool, badly)
    await eventually('it has failed', async () => (await states()).includes('idle in transaction (aborted)'))
    expect(await batches.return()).toEqual({ done: true, value: undefined })
    await isFree(pool)
    expect(await seen()).toBe(20)
  })

  test('by throwing gets its own error, and all is undone', async () => {
    const pool = streaming(database.url)
    const batches = await afterTwoBatches(pool, slowly)
    const mine = new Error('mine')
    expect(await rejection(batches.throw(mine))).toBe(mine)
    await isFree(pool)
    expect(await seen()).toBe(0)
  })
})

describe('a batch that was asked for ahead and fails', () => {
  test('rejects the call that asks for it, once', async () => {
    const pool = streaming(database.url)
    const batches = await afterTwoBatches(pool, badly)
    await eventually('it has failed', async () => (await states()).includes('idle in transaction (aborted)'))
    const error = await rejection(batches.next())
    expect(error).toMatchObject({ code: '22012' })
    expect(error.stack).toContain('stream-ahead.test.ts')
    expect(await batches.next()).toEqual({ done: true, value: undefined })
    expect(await batches.return()).toEqual({ done: true, value: undefined })
    await isFree(pool)
    expect(await seen()).toBe(0)
  })

  test('after rows that were all given', async () => {
    const pool = streaming(database.url)
    const given: unknown[] = []
    const read = async (): Promise<void> => {
      for await (const { n } of pool.stream<{ n: number }>(badly, [], tens)) given.push(n)
    }
    expect(await rejection(read())).toMatchObject({ code: '22012' })
    expect(given).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
    await isFree(pool)
  })

  test('when the connection is lost: reported to whoever asks or leaves', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = streaming(proxy.urlFor(database.url))
    // The server notices that nobody is there when it has rows to send.
    const soon = slowly.replace('n > 20', 'n = 21').replace('30', '1')
    for (const end of ['next', 'return'] as const) {
      const batches = await afterTwoBatches(pool, soon)
      await eventually('it runs', async () => (await states()).includes('active'))
      await proxy.cut()
      await eventually('it is noticed', () => pool.stats().pool.total === 0)
      const error = await rejection(batches[end]())
      if (end === 'next') expect(error).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
      expect(await batches.next()).toEqual({ done: true, value: undefined })
      await isFree(pool)
    }
  })
})

describe('the time of a stream', () => {
  test.each(['signal', 'timeoutMs'])('ends what was asked for ahead and is under way: %s', async (how) => {
    const pool = streaming(database.url)
    const abort = new AbortController()
    const options = how === 'signal' ? { signal: abort.signal } : { timeoutMs: 1_500 }
    const code = how === 'signal' ? 'LIFEGUARD_ABORTED' : 'LIFEGUARD_TIMEOUT'
    const batches = await afterTwoBatches(pool, slowly, options)
    await eventually('it runs', async () => (await states()).includes('active'))
    abort.abort()
    expect(await rejection(batches.next())).toMatchObject({ code })
    expect(await batches.next()).toEqual({ done: true, value: undefined })
    await eventually('nothing runs', async () => !(await states()).includes('active'))
    await isFree(pool)
    expect(await seen()).toBe(0)
  })

  test('that is over keeps back what has come already', async () => {
    const pool = streaming(database.url)
    const abort = new AbortController()
    const batches = await afterTwoBatches(pool, seeing("''"), { signal: abort.signal })
    await eventually('it has come', async () => (await states()).includes('idle in transaction'))
    abort.abort()
    expect(await rejection(batches.next())).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await isFree(pool)
    expect(await seen()).toBe(0)
  })

  test('that is over lets a consumer leave without an error', async () => {
    const pool = streaming(database.url)
    const abort = new AbortController()
    const batches = await afterTwoBatches(pool, slowly, { signal: abort.signal })
    abort.abort()
    expect(await batches.return()).toEqual({ done: true, value: undefined })
    await isFree(pool)
    expect(await seen()).toBe(20)
  })
})

test('a consumer that never reads on does not keep the pool from ending', async () => {
  for (const text of [numbers, slowly, badly]) {
    const pool = streaming(database.url)
    const batches = await afterTwoBatches(pool, text)
    await pool.end({ timeoutMs: 200 })
    // A batch that has come is given.
    await rejection(drain(batches))
    expect(await batches.next()).toEqual({ done: true, value: undefined })
    await eventually('its session is gone', async () => (await states()).length === 0)
  }
})

describe('where other statements may run between two batches nothing is asked for ahead', () => {
  test('in a transaction, whose savepoints may be rolled back meanwhile', async () => {
    const pool = streaming(database.url)
    const given: number[] = []
    await pool.withTransaction(async (tx) => {
      for await (const { n } of tx.stream<{ n: number }>('select n from generate_series(1, 45) n', [], tens)) {
        given.push(n)
        if (n % 7 === 0) await tx.query('select see($1)', [n])
        if (n % 9 !== 0) continue
        const undone = tx.withTransaction(async (inner) => {
          await inner.query('select see($1)', [n])
          throw new Error('undone')
        })
        expect(await rejection(undone)).toMatchObject({ message: 'undone' })
      }
    })
    expect(given).toEqual(Array.from({ length: 45 }, (_, at) => at + 1))
    expect(await seen()).toBe(6)
  })

  test('in a transaction and on a connection of one’s own, which a failure ahead would break for them', async () => {
    const pool = streaming(database.url)
    await pool.withTransaction(async (tx) => {
      const batches = tx.streamBatches({ text: badly }, tens)
      await batches.next()
      await batches.next()
      expect((await tx.query('select 1 as n')).rows).toEqual([{ n: 1 }])
      expect(await batches.return()).toEqual({ done: true, value: undefined })
    })
    expect(await seen()).toBe(20)
    await using connection = await pool.acquire()
    const batches = connection.streamBatches({ text: badly }, tens)
    await batches.next()
    await batches.next()
    expect((await connection.query('select 1 as n')).rows).toEqual([{ n: 1 }])
    await batches.return()
    expect(await seen()).toBe(40)
  })
})

test('is one statement, with the rows that were given and the time to the first', async () => {
  const pool = streaming(database.url)
  const events: QueryEvent[] = []
  pool.on('query', (event) => events.push(event))
  expect(await drain(pool.stream(numbers))).toBe(10_000)
  const [event] = events.splice(0)
  expect(event).toMatchObject({ text: numbers, rowCount: 10_000, command: 'SELECT', error: undefined })
  expect(event?.firstRowMs).toBeGreaterThan(0)
  expect(event?.firstRowMs).toBeLessThan(event?.durationMs ?? 0)
  for await (const { n } of pool.stream<{ n: number }>(numbers, [], tens)) if (n === 25) break
  expect(events.splice(0)).toMatchObject([{ text: numbers, rowCount: 30, error: undefined }])
  expect(await rejection(drain(pool.stream(badly, [], tens)))).toMatchObject({ code: '22012' })
  expect(events).toMatchObject([{ text: badly, error: { code: '22012' } }])
})
