import { type ChildProcess, spawn } from 'node:child_process'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { systemClock } from '../../src/deadline/clock.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import { DeadlockError, LockTimeoutError } from '../../src/index.js'
import { waitIdle } from '../../src/lock/grants.js'
import { serverKeys } from '../../src/sql/lock-key.js'
import type { SessionAnswer } from '../../src/transaction/lock-sql.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item as select i from generate_series(1, 1000) i' })
const watcher = watchLocks(database)

/** Sessions that have asked for a lock, hold none, and idle. */
const idling = async (): Promise<number> => {
  const { rows } = await watcher.pool.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity a
     where datname = current_database() and state = 'idle' and query like '%idle_session_timeout%' and pid <> pg_backend_pid()
       and not exists (select from pg_locks l where l.pid = a.pid and locktype = 'advisory')`,
  )
  return rows[0]?.n ?? 0
}

test('CREATE INDEX CONCURRENTLY under it does not wait for those who wait for the lock', async () => {
  const pool = testPool(database.url, { settings: { statement_timeout: '20s' } })
  const others = Array.from({ length: 4 }, () => testPool(database.url, { settings: { application_name: 'waiter' } }))
  const order: string[] = []
  let waiting: Promise<unknown>[] = []
  await pool.withMigrationLock(async ({ signal }) => {
    waiting = others.map(async (other) => {
      await other.withMigrationLock(async () => void order.push('another'))
    })
    await eventually('all of them wait', async () => (await idling()) === others.length)
    await pool.query('create index concurrently item_i on item (i)')
    expect(signal.aborted).toBe(false)
    order.push('first')
  })
  await Promise.all(waiting)
  expect(order).toEqual(['first', 'another', 'another', 'another', 'another'])
  const { rows } = await pool.query("select indisvalid as valid from pg_index where indexrelid = 'item_i'::regclass")
  expect(rows).toEqual([{ valid: true }])
})

test('who waits holds neither a snapshot nor a transaction id, nor does who holds it', async () => {
  const pool = testPool(database.url)
  const other = testPool(database.url, { settings: { application_name: 'waiter' } })
  let waiting: Promise<unknown> | undefined
  await pool.withMigrationLock(async () => {
    waiting = other.withMigrationLock(async () => undefined)
    await eventually('it waits', async () => (await idling()) === 1)
    // Nobody is in the middle of anything for long.
    await eventually('nothing is held', async () => {
      const { rows } = await watcher.pool.query<{ n: number }>(
        'select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and (backend_xmin is not null or backend_xid is not null or xact_start is not null)',
      )
      return rows[0]?.n === 0
    })
    expect(await watcher.waiting()).toBe(0)
  })
  await waiting
})

test('who waits is woken, and does not have to look', async () => {
  const [key] = serverKeys('migrations', undefined)
  if (key === undefined) throw new Error('there is no key')
  const connection = await Connection.open({ connectionString: database.url }, systemClock)
  // No time ever passes.
  const clock = { ...systemClock, setTimer: () => ({ fake: 0 }), clearTimer: () => undefined }
  let waiting: Promise<SessionAnswer> | undefined
  await testPool(database.url).withMigrationLock(async () => {
    waiting = waitIdle(connection, key, 'exclusive', noDeadline, noDeadline, { clock, random: Math.random })
    await eventually('it waits', async () => (await idling()) === 1)
  })
  expect((await waiting)?.token).toBeDefined()
  await connection.close()
})

test('waitMs, timeoutMs and an abort end the wait, and leave nothing', async () => {
  const [pool, other] = [testPool(database.url), testPool(database.url, { max: 1 })]
  await pool.withMigrationLock(async () => {
    const late = await rejection(other.withMigrationLock(async () => undefined, { waitMs: 30 }))
    expect(late).toBeInstanceOf(LockTimeoutError)
    expect(await rejection(other.withMigrationLock(async () => undefined, { waitMs: 0 }))).toBeInstanceOf(
      LockTimeoutError,
    )
    expect(await rejection(other.withMigrationLock(async () => undefined, { timeoutMs: 30 }))).toMatchObject({
      code: 'LIFEGUARD_TIMEOUT',
    })
    const stop = new AbortController()
    const aborted = rejection(other.withMigrationLock(async () => undefined, { signal: stop.signal }))
    await eventually('it waits', async () => (await idling()) === 1)
    stop.abort()
    expect(await aborted).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    expect((await other.query('select pg_listening_channels() as channel')).rows).toEqual([])
  })
  expect(await other.withMigrationLock(async () => 'in')).toBe('in')
})

test('a holder that dies lets the next one in', async () => {
  const [pool, other] = [testPool(database.url), testPool(database.url)]
  const held = pool.withMigrationLock(async ({ signal }) => {
    const next = other.withMigrationLock(async () => 'in')
    await eventually('it waits', async () => (await idling()) === 1)
    await watcher.pool.query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
    await eventually('it hears of it', () => signal.aborted)
    return await next
  })
  expect(await rejection(held)).toMatchObject({ code: 'LIFEGUARD_LOCK_LOST', outcome: { value: 'in' } })
})

test('whose own session dies while it waits goes on with another', async () => {
  const [pool, other] = [testPool(database.url), testPool(database.url, { settings: { application_name: 'waiter' } })]
  let waiting: Promise<string> | undefined
  await pool.withMigrationLock(async () => {
    waiting = other.withMigrationLock(async () => 'in')
    await eventually('it waits', async () => (await idling()) === 1)
    await watcher.pool.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'waiter'")
    await eventually('it is gone', async () => (await idling()) === 0)
    await eventually('it waits again', async () => (await idling()) === 1)
  })
  expect(await waiting).toBe('in')
})

test('two who hold a lock and wait for the other one are told, across pools and in whatever order', async () => {
  const [a, b] = [testPool(database.url), testPool(database.url)]
  const both = { a: Promise.withResolvers<void>(), b: Promise.withResolvers<void>() }
  const outcomes = await Promise.allSettled([
    a.withMigrationLock(async () => {
      both.a.resolve()
      await both.b.promise
      await a.withLock('other', async () => undefined)
    }),
    b.withLock('other', async () => {
      both.b.resolve()
      await both.a.promise
      await b.withMigrationLock(async () => undefined)
    }),
  ])
  const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(failed).toHaveLength(1)
  expect(failed[0]).toBeInstanceOf(DeadlockError)
})

test('a wait inside of this process, under another lock, does not hold an index up either', async () => {
  const pool = testPool(database.url, { max: 8, settings: { statement_timeout: '20s' } })
  await pool.withMigrationLock(async () => {
    const free = Promise.withResolvers<void>()
    const inside = Promise.withResolvers<void>()
    const taken = pool.withLock('taken', async () => {
      inside.resolve()
      await free.promise
    })
    await inside.promise
    const waiting = pool.withLock('around', async () => await pool.withLock('taken', async () => undefined))
    // To other processes, once it has lasted.
    await eventually('it is shown', async () => {
      const { rows } = await watcher.pool.query(
        "select from pg_stat_activity where query like '/* lifeguard board %' and state = 'idle' and datname = current_database()",
      )
      return rows.length === 1
    })
    await pool.query('create index concurrently item_again on item (i)')
    free.resolve()
    await Promise.all([taken, waiting])
  })
})

/** Waits for the lock in a process of its own, as an instance of the service does that starts beside this one. */
function waitElsewhere(): { readonly over: Promise<number | null>; readonly child: ChildProcess } {
  const core = new URL('../../dist/index.js', import.meta.url).href
  const program = `
    import { createPool } from ${JSON.stringify(core)}
    const pool = createPool({ connectionString: process.env.DATABASE, applicationName: 'elsewhere' })
    await pool.withMigrationLock(async () => pool.query('insert into entered values (pg_backend_pid())'))
    await pool.end()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, DATABASE: database.url },
    stdio: 'inherit',
  })
  const over = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  return { over, child }
}

test('who waits in other processes holds no snapshot either', async () => {
  const pool = testPool(database.url, { settings: { statement_timeout: '20s' } })
  await pool.query('create table entered (pid int)')
  const others: ReturnType<typeof waitElsewhere>[] = []
  try {
    await pool.withMigrationLock(async () => {
      others.push(waitElsewhere(), waitElsewhere())
      await eventually('both wait', async () => (await idling()) === others.length)
      await pool.query('create index concurrently item_elsewhere on item (i)')
      await pool.query('drop index concurrently item_elsewhere')
      await pool.query('reindex table concurrently item')
      expect((await pool.query('select * from entered')).rows).toEqual([])
    })
    expect(await Promise.all(others.map(({ over }) => over))).toEqual([0, 0])
    expect((await pool.query('select count(*)::int as n from entered')).rows).toEqual([{ n: 2 }])
  } finally {
    for (const { child } of others) child.kill('SIGKILL')
  }
})
