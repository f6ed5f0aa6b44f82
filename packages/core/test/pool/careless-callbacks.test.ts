import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBreaker, type Pool } from '../../src/index.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
const careless = new Error('careless')

/** Callbacks that fail in each way. */
const fails: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw careless
  },
  rejects: async () => Promise.reject(careless),
}
const ways = Object.entries(fails)

let warnings: { readonly name: string; readonly cause: unknown }[] = []
let pool: Pool
beforeEach(() => {
  warnings = []
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(warning as never))
  pool = testPool(database.url, { max: 1 })
})
// Not after each: the pools of a test are ended after that.
afterAll(() => {
  vi.restoreAllMocks()
})

const pidOf = async (): Promise<unknown> => (await pool.query('select pg_backend_pid() as pid')).rows[0]

async function untilWarned(kind: string): Promise<void> {
  await eventually('it is warned of', () => warnings.length > 0)
  expect(new Set(warnings.map(({ name }) => name))).toEqual(new Set([kind]))
  for (const { cause } of warnings) expect(cause).toBe(careless)
}

describe.each(ways)('a callback that %s costs nobody anything', (_, fail) => {
  test('onProgress of copyTo', async () => {
    const before = await pidOf()
    const stream = pool.copyTo({ text: 'select generate_series(1, 20000)' }, { onProgress: fail })
    const text = Buffer.concat(await stream.toArray()).toString()
    expect(text.split('\n')).toHaveLength(20_001)
    await untilWarned('LifeguardCopyWarning')
    expect(await pidOf()).toEqual(before)
  })

  test('onProgress of copyFrom', async () => {
    const before = await pidOf()
    await pool.withTransaction(async (tx) => {
      const rows = Array.from({ length: 1_000 }, (__, id) => [id])
      const copied = await tx.copyFrom({ table: 'item', columns: ['id'] }, rows, { onProgress: fail })
      expect(copied).toMatchObject({ rowCount: 1_000 })
      await tx.query('delete from item')
    })
    await untilWarned('LifeguardCopyWarning')
    expect(await pidOf()).toEqual(before)
  })

  test('a handler and the onGap of listen', async () => {
    const other = testPool(database.url, { max: 1 })
    const heard: string[] = []
    const gaps: unknown[] = []
    await pool.listen('news', fail, { onGap: fail })
    await pool.listen('news', (payload) => heard.push(payload), { onGap: (gap) => gaps.push(gap) })
    await other.notify('news', 'a')
    await eventually('it is heard', () => heard.length === 1)
    await untilWarned('LifeguardListenerWarning')
    warnings = []
    await other.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`,
    )
    await eventually('the gap is told', () => gaps.length === 1)
    await untilWarned('LifeguardListenerWarning')
    await other.notify('news', 'b')
    await eventually('it goes on', () => heard.length === 2)
  })

  test.each(['afterCommit', 'afterRollback'] as const)('%s', async (name) => {
    const ran: string[] = []
    const work = pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      tx[name](fail)
      tx[name](() => ran.push('the next'))
      if (name === 'afterRollback') throw new Error('undone')
      return 'committed'
    })
    const [outcome] = await Promise.allSettled([work])
    expect(outcome.status).toBe(name === 'afterCommit' ? 'fulfilled' : 'rejected')
    expect(ran).toEqual(['the next'])
    await untilWarned('LifeguardHookWarning')
  })

  test.each(['query', 'retry', 'hook-error', 'connect', 'close'] as const)(
    'a listener of the event %s',
    async (name) => {
      const own = testPool(database.url, { max: 1 })
      own.on(name, fail as () => void)
      let attempts = 0
      const value = await own.withTransaction(async (tx) => {
        tx.afterCommit(() => {
          if (name === 'hook-error') throw new Error('of a hook')
        })
        await tx.query('select 1')
        attempts += 1
        if (attempts === 1 && name === 'retry') {
          await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
        }
        return 'committed'
      })
      expect(value).toBe('committed')
      await own.end()
      await untilWarned('LifeguardListenerWarning')
    },
  )

  test('onError of an election', async () => {
    let terms = 0
    const candidacy = pool.elect(
      'scheduler',
      async ({ signal }) => {
        terms += 1
        if (terms === 1) throw new Error('of the term')
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      { onError: fail as () => void },
    )
    await eventually('it leads again', () => terms === 2)
    await candidacy.stop()
    await untilWarned('LifeguardElectionWarning')
  })

  test.each(['connect', 'acquire', 'release', 'remove'] as const)('a listener of the facade: %s', async (name) => {
    const own = testPool(database.url, { max: 1 })
    const view = own.asPgPool()
    view.on(name, fail as () => void)
    for (let n = 0; n < 3; n++) {
      const client = await view.connect()
      expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
      client.release(n === 2)
    }
    expect((await own.query('select 2 as n')).rows).toEqual([{ n: 2 }])
    await untilWarned('LifeguardListenerWarning')
  })

  test.each(['notice', 'notification'] as const)('a listener of a client of the facade: %s', async (name) => {
    const client = await pool.asPgPool().connect()
    const heard: unknown[] = []
    client.on(name as 'notice', fail as () => void)
    client.on(name as 'notice', (message) => heard.push(message))
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query('listen news')
    await client.query(`do $$ begin raise notice 'look'; perform pg_notify('news', 'a'); end $$`)
    await client.query('unlisten news')
    await eventually('it is heard', () => heard.length === 1)
    expect((await client.query('select pg_backend_pid() as pid')).rows).toEqual(rows)
    client.release()
    await untilWarned('LifeguardListenerWarning')
  })

  test("a listener of 'error' of the facade, and of its client", async () => {
    const view = pool.asPgPool()
    view.on('error', fail as () => void)
    const client = await view.connect()
    client.on('error', fail as () => void)
    await expect(client.query('select pg_terminate_backend(pg_backend_pid())')).rejects.toThrow()
    client.release()
    await untilWarned('LifeguardListenerWarning')
    expect((await pool.query('select 3 as n')).rows).toEqual([{ n: 3 }])
  })

  test('a cache of withFallback', async () => {
    const cache = { get: fail, set: fail }
    expect(await pool.withFallback('key', async () => 'fresh', { cache })).toMatchObject({ value: 'fresh' })
    await untilWarned('LifeguardCacheWarning')
  })

  test('onLeak', async () => {
    const own = testPool(database.url, { max: 1, leakDetectionMs: 5, onLeak: fail as () => void })
    const connection = await own.acquire()
    await untilWarned('LifeguardListenerWarning')
    connection.release()
    expect((await own.query('select 4 as n')).rows).toEqual([{ n: 4 }])
  })
})

test('what is no function is refused at once', async () => {
  const wrong = 7 as never
  expect(() => pool.copyTo({ table: 'item' }, { onProgress: wrong })).toThrow('onProgress')
  await expect(pool.copyFrom({ table: 'item' }, [], { onProgress: wrong })).rejects.toThrow('onProgress')
  await expect(pool.listen('news', () => undefined, { onGap: wrong })).rejects.toThrow('onGap')
  await expect(pool.listen('news', () => undefined, { onEnd: wrong })).rejects.toThrow('onEnd')
  expect(() => pool.elect('a', async () => undefined, { onError: wrong })).toThrow('onError')
  expect(() => pool.elect('a', async () => undefined, { onEnd: wrong })).toThrow('onEnd')
})

test('a verdict of a breaker that throws neither hides what came of the call nor blocks the next one', async () => {
  const breaker = createBreaker({
    verdict: () => {
      throw careless
    },
  })
  const lost = Object.assign(new Error('of the call'), { code: 'ECONNRESET' })
  expect(await breaker.run(async () => 'value')).toBe('value')
  await expect(breaker.run(async () => Promise.reject(lost))).rejects.toThrow('of the call')
  expect(breaker.figures).toMatchObject({ calls: 2, failures: 1 })
  await untilWarned('LifeguardBreakerWarning')
})
