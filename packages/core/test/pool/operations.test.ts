import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { createPool, type EndOptions, type EvictMode } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

async function pidOf(query: Promise<{ readonly rows: readonly { readonly pid: number }[] }>): Promise<number> {
  return (await query).rows[0]?.pid ?? 0
}
const whoAmI = 'select pg_backend_pid() as pid'

describe('flush', () => {
  test("'idle' replaces what nobody uses, and leaves what is in use for good", async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    const idle = await pidOf(pool.query(whoAmI))
    await pool.evict('idle')
    expect(pool.stats()).toMatchObject({ pool: { total: 1, active: 1 } })
    const { pid } = used
    used.release()
    expect(await pidOf(pool.query(whoAmI))).toBe(pid)
    expect(idle).not.toBe(pid)
  })

  test("'graceful' settles when those in use have come back too, and are gone", async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    let settled = false
    const flushed = pool.evict('graceful').then(() => {
      settled = true
    })
    const fresh = await pidOf(pool.query(whoAmI))
    expect([fresh === used.pid, settled]).toEqual([false, false])
    expect((await used.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    used.release()
    await flushed
    expect(await pidOf(pool.query(whoAmI))).toBe(fresh)
  })

  test("'graceful' is waited for no longer than its limit, and done all the same", async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    const { pid } = used
    expect(await rejection(pool.evict('graceful', { timeoutMs: 20 }))).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    const abort = new AbortController()
    const flushed = rejection(pool.evict('graceful', { signal: abort.signal }))
    abort.abort()
    expect(await flushed).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    used.release()
    expect(await pidOf(pool.query(whoAmI))).not.toBe(pid)
  })

  test("'all' ends what is in use, stops it on the server, and settles", async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    const running = rejection(used.query('select pg_sleep(60)'))
    await pool.evict('all')
    expect(await running).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
    await eventually('its session is gone', async () => {
      const { rows } = await pool.query('select from pg_stat_activity where pid = $1', [used.pid])
      return rows.length === 0
    })
    used.release()
    expect(pool.stats()).toMatchObject({ pool: { total: 1, active: 0, idle: 1 } })
  })

  test('refuses what is no mode', async () => {
    const pool = testPool(database.url)
    expect(await rejection(pool.evict('every' as EvictMode))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
  })
})

describe('pause', () => {
  test('settles when what runs is done; callers wait until resume', async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    const paused = pool.pause()
    const waiting = pool.query<{ pid: number }>(whoAmI)
    const late = rejection(pool.query(whoAmI, [], { timeoutMs: 20 }))
    expect(pool.stats()).toMatchObject({ state: 'paused', pool: { active: 1 }, waits: { waiting: 2 } })
    expect(await late).toMatchObject({ code: 'LIFEGUARD_ACQUIRE_TIMEOUT' })
    used.release()
    await paused
    expect(pool.stats()).toMatchObject({ state: 'paused', pool: { active: 0 }, waits: { waiting: 1 } })
    pool.resume()
    expect(await pidOf(waiting)).toBeGreaterThan(0)
    expect(pool.stats().state).toBe('open')
  })

  test('lets a lock that is held finish its work', async () => {
    const pool = testPool(database.url)
    let paused: Promise<void> | undefined
    const rows = await pool.withLock('pause', async () => {
      paused = pool.pause()
      return (await pool.query('select 1 as one')).rows
    })
    expect(rows).toEqual([{ one: 1 }])
    await paused
    pool.resume()
  })

  test('that is resumed before it is quiet says so, and one that takes too long stays', async () => {
    const pool = testPool(database.url)
    await using _used = await pool.acquire()
    const paused = rejection(pool.pause())
    pool.resume()
    expect(await paused).toMatchObject({ code: 'LIFEGUARD_ABORTED', cause: { message: 'the pool was resumed' } })
    expect(await rejection(pool.pause({ timeoutMs: 10 }))).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    expect(pool.stats().state).toBe('paused')
    pool.resume()
  })
})

describe('resize', () => {
  test('serves at once who waits, and closes what is too much as it comes back', async () => {
    const pool = testPool(database.url, { max: 1 })
    const one = await pool.acquire()
    const waiting = pool.acquire()
    expect(pool.stats().waits.waiting).toBe(1)
    pool.resize({ max: 2 })
    const two = await waiting
    pool.resize({ max: 1 })
    expect(pool.stats()).toMatchObject({ pool: { max: 1, active: 2 } })
    one.release()
    await eventually('one is left', () => pool.stats().pool.total === 1)
    two.release()
    expect(pool.stats()).toMatchObject({ pool: { total: 1, idle: 1 } })
    pool.resize({ max: 3, min: 3 })
    await eventually('three are there', () => pool.stats().pool.idle === 3)
  })

  test.each([{ max: 0 }, { max: 1.5 }, { min: -1 }, { min: 6 }, { max: 2, min: 3 }])('refuses %o', (size) => {
    const pool = testPool(database.url, { max: 5 })
    expect(() => pool.resize(size)).toThrow(expect.objectContaining({ code: 'LIFEGUARD_INVALID_OPTION' }))
    expect(pool.stats()).toMatchObject({ pool: { max: 5, min: 0 } })
  })
})

describe('the place of a connection that is thrown away', () => {
  const stubborn = `do $$ begin perform pg_sleep(60); exception when query_canceled then perform pg_sleep(0.3); end $$`

  test.each(['discarded', 'lost by a kill'])(
    'that was %s is free when the server has no session of it any more',
    async (how) => {
      const pool = testPool(database.url, { max: 1 })
      const watcher = testPool(database.url)
      for (let turn = 0; turn < 3; turn++) {
        const one = await pool.acquire()
        const { pid } = one
        const running = rejection(one.query(how === 'discarded' ? stubborn : 'select pg_sleep(60)'))
        await eventually('it runs', async () => {
          const { rows } = await watcher.query("select from pg_stat_activity where pid = $1 and state = 'active'", [
            pid,
          ])
          return rows.length === 1
        })
        if (how !== 'discarded') await watcher.query('select pg_terminate_backend($1)', [pid])
        one.release({ discard: how === 'discarded' })
        await using two = await pool.acquire()
        expect(two.pid).not.toBe(pid)
        expect((await watcher.query('select from pg_stat_activity where pid = $1', [pid])).rows).toEqual([])
        await running
      }
    },
  )
})

describe('end', () => {
  test('can be cancelled while it waits, and the pool goes on', async () => {
    const pool = testPool(database.url)
    const used = await pool.acquire()
    const ended = rejection(pool.end())
    expect(await rejection(pool.query('select 1'))).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
    expect(pool.cancelEnd()).toBe(true)
    expect(await ended).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    used.release()
    expect(pool.cancelEnd()).toBe(false)
    await pool.end()
    expect(pool.cancelEnd()).toBe(false)
  })

  test('serves what was queued before it, after a pause too, and the work of a lock', async () => {
    const pool = testPool(database.url, { max: 2 })
    await pool.pause()
    const queued = pool.query('select 1 as one')
    const ended = pool.end()
    expect((await queued).rows).toEqual([{ one: 1 }])
    await ended
    const other = testPool(database.url, { max: 2 })
    let end: Promise<void> | undefined
    const work = other.withLock('end', async () => {
      end = other.end()
      return (await other.query('select 2 as two')).rows
    })
    expect(await work).toEqual([{ two: 2 }])
    await end
  })

  test("'fast' rejects who waits, cancels what runs, and leaves nothing on the server", async () => {
    const pool = createPool({ connectionString: database.url, max: 1, applicationName: 'fast' })
    const running = rejection(pool.query('select pg_sleep(60)'))
    const waiting = rejection(pool.query('select 1'))
    const watcher = testPool(database.url)
    const left = 'select state from pg_stat_activity where application_name = $1'
    const sessions = async () => (await watcher.query(left, ['fast'])).rows
    // A cancel that overtakes the statement would find nothing to cancel.
    await eventually('it runs', async () => (await sessions()).some(({ state }) => state === 'active'))
    expect(pool.stats().pool.active).toBe(1)
    await pool.end({ mode: 'fast' })
    expect([await running, await waiting]).toMatchObject([
      { code: 'LIFEGUARD_CONNECTION_LOST' },
      { code: 'LIFEGUARD_POOL_CLOSED' },
    ])
    // The server takes its time to notice that a socket is closed.
    await eventually('nothing is left', async () => (await sessions()).length === 0)
  })

  test("'fast' stops what was sent a moment ago as well: a cancel that overtakes its statement is sent again", async () => {
    const watcher = testPool(database.url)
    const left = 'select from pg_stat_activity where application_name = $1'
    for (let time = 0; time < 10; time++) {
      const pool = createPool({ connectionString: database.url, max: 1, applicationName: 'at-once' })
      await pool.query('select 1')
      const running = rejection(pool.query('select pg_sleep(60)'))
      for (let turn = 0; turn <= time % 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      await pool.end({ mode: 'fast' })
      expect((await running).code).toBe('LIFEGUARD_CONNECTION_LOST')
    }
    await eventually('nothing is left', async () => (await watcher.query(left, ['at-once'])).rows.length === 0)
  })

  test('settles within its bound with a held connection, a second call that is faster, and a blackholed server', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = createPool({ connectionString: proxy.url, max: 2, connectTimeoutMs: 60_000 })
    const held = await pool.acquire()
    // The stop cannot get through: it must not outlive this file by itself.
    const running = rejection(held.query('select pg_sleep(1.5)'))
    await proxy.stall()
    const connecting = rejection(pool.query('select 1', [], { timeoutMs: 60_000 }))
    await eventually('it connects', () => pool.stats().pool.connecting === 1)
    const begun = performance.now()
    const patient = pool.end({ timeoutMs: 60_000 })
    await pool.end({ timeoutMs: 50 })
    await patient
    expect(performance.now() - begun).toBeLessThan(10_000)
    expect(await running).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
    expect(await connecting).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
  })

  test('takes no combination that means nothing', async () => {
    // @ts-expect-error: a fast end waits for nobody
    const illegal: EndOptions = { mode: 'fast', timeoutMs: 5 }
    const pool = testPool(database.url)
    expect(await rejection(pool.end({ ...illegal, mode: 'slowly' } as unknown as EndOptions))).toMatchObject({
      code: 'LIFEGUARD_INVALID_OPTION',
    })
    expect(await rejection(pool.end({ timeoutMs: -1 }))).toMatchObject({ code: 'LIFEGUARD_INVALID_OPTION' })
    expect(pool.stats().state).toBe('open')
  })
})
