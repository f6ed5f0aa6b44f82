import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../src/deadline/clock.js'
import { OperationTimeoutError, type Pool, type PoolEvents, VersionConflictError } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create table counter (id int primary key, n int not null, version int not null);
    create table entry (note text)`,
})
const raise = "do $$ begin raise exception 'again' using errcode = '40001'; end $$"
const callers = 50

let slowness = 1
/** Its time hardly passes at first, though its timers fire: no turn runs out of time. */
const slowed: Clock = { ...systemClock, now: () => systemClock.now() / slowness }

let pool: Pool
beforeEach(async () => {
  pool = testPool(database.url, { max: 10 })
  await pool.query('truncate counter, entry; insert into counter select id, 0, 0 from generate_series(1, 10) id')
})

const nothing = { running: 0, waiting: 0 }

/** A retry that has its turn, without a connection, until it is released. */
async function hasTurn(of: Pool, meanwhile: () => Promise<unknown> = async () => undefined) {
  const began = Promise.withResolvers<void>()
  const over = Promise.withResolvers<void>()
  const work = of.withOptimisticRetry(async ({ attempt }) => {
    if (attempt === 1) throw new VersionConflictError('a row')
    began.resolve()
    await meanwhile()
    await over.promise
  })
  await began.promise
  return {
    async release(): Promise<void> {
      over.resolve()
      await work
    },
  }
}

/** A transaction that is undone once. */
function undoneOnce(
  of: Pool,
  note: string,
  options: Parameters<Pool['withTransaction']>[1] = {},
  again: () => unknown = () => undefined,
): Promise<string> {
  return of.withTransaction(async (tx) => {
    if (tx.attempt === 1) await tx.query(raise)
    again()
    await tx.query('insert into entry values ($1)', [note])
    return note
  }, options)
}

async function notes(): Promise<unknown[]> {
  const { rows } = await pool.query<{ note: string }>('select note from entry order by note')
  return rows.map(({ note }) => note)
}

describe('fifty who fight for one row', () => {
  test('all get through by default, as serializable transactions, in fewer than three attempts each', async () => {
    const made: number[] = []
    await Promise.all(
      Array.from({ length: callers }, () =>
        pool.withTransaction(
          async (tx) => {
            made.push(tx.attempt)
            const { rows } = await tx.query<{ n: number }>('select n from counter where id = 1')
            await tx.query('update counter set n = $1 where id = 1', [(rows[0]?.n ?? 0) + 1])
          },
          { isolation: 'serializable' },
        ),
      ),
    )
    expect((await pool.query('select n from counter where id = 1')).rows).toEqual([{ n: callers }])
    expect(made.length).toBeLessThan(3 * callers)
    expect(pool.stats().retries).toBe(made.length - callers)
    expect(pool.stats().retryGate).toMatchObject(nothing)
  })

  test('all get through by default, as optimistic updates, in fewer than three attempts each', async () => {
    let made = 0
    await Promise.all(
      Array.from({ length: callers }, () =>
        pool.withOptimisticRetry(async () => {
          made += 1
          const { rows } = await pool.query<{ n: number; version: number }>(
            'select n, version from counter where id = 1',
          )
          const { n = 0, version = 0 } = rows[0] ?? {}
          await pool.updateVersioned('counter', { id: 1, version }, { n: n + 1 })
        }),
      ),
    )
    expect((await pool.query('select n, version from counter where id = 1')).rows).toEqual([
      { n: callers, version: callers },
    ])
    expect(made).toBeLessThan(3 * callers)
    expect(pool.stats().retryGate).toMatchObject(nothing)
  })
})

test('a deadlock between two transactions resolves', async () => {
  const both = Promise.withResolvers<void>()
  let first = 0
  const add = (one: number, other: number): Promise<void> =>
    pool.withTransaction(async (tx) => {
      await tx.query('update counter set n = n + 1 where id = $1', [one])
      if (tx.attempt === 1) {
        first += 1
        if (first === 2) both.resolve()
        await both.promise
      }
      await tx.query('update counter set n = n + 1 where id = $1', [other])
    })
  const reasons: string[] = []
  pool.on('retry', ({ reason }) => reasons.push(reason))
  await Promise.all([add(1, 2), add(2, 1)])
  expect((await pool.query('select n from counter where id < 3')).rows).toEqual([{ n: 2 }, { n: 2 }])
  expect(new Set(reasons)).toEqual(new Set(['deadlock']))
  expect(pool.stats().retryGate).toMatchObject(nothing)
})

describe('while retries wait for their turn', () => {
  let busy: Pool
  beforeEach(() => {
    slowness = 100_000
    busy = testPool(database.url, { max: 3, environment: { clock: slowed, random: () => 0 } })
  })

  const untilWaiting = (count: number): Promise<unknown> =>
    eventually(`${count} wait`, () => busy.stats().retryGate.waiting === count)

  test('what is in no conflict is not delayed, and their turns begin in the order in which they came', async () => {
    const turn = await hasTurn(busy)
    const begun: string[] = []
    const queued: Promise<unknown>[] = []
    for (const note of ['a', 'b', 'c']) {
      queued.push(undoneOnce(busy, note, {}, () => begun.push(note)))
      await untilWaiting(queued.length)
    }
    // None of them holds a connection meanwhile.
    expect(busy.stats().pool.active).toBe(0)
    await Promise.all(
      [4, 5, 6].map((id) =>
        busy.withTransaction((tx) => tx.query('update counter set n = 1 where id = $1', [id]), {
          isolation: 'serializable',
        }),
      ),
    )
    await busy.query('select 1')
    expect(busy.stats().retryGate).toEqual({ width: 1, running: 1, waiting: 3 })
    expect(await notes()).toEqual([])
    await turn.release()
    await Promise.all(queued)
    expect(begun).toEqual(['a', 'b', 'c'])
    expect(await notes()).toEqual(['a', 'b', 'c'])
    expect(busy.stats().retryGate).toMatchObject(nothing)
  })

  test('the event says how long one has waited, and comes when it runs again', async () => {
    const heard: PoolEvents['retry'][] = []
    const turn = await hasTurn(busy)
    busy.on('retry', (event) => heard.push(event))
    const run = undoneOnce(busy, 'a')
    await eventually('it waits', () => busy.stats().retryGate.waiting === 1)
    const since = slowed.now()
    await busy.query('select pg_sleep(0.02)')
    expect(heard).toEqual([])
    const waited = slowed.now() - since
    await turn.release()
    await run
    expect(heard).toMatchObject([{ attempt: 1, reason: 'conflict', error: { code: '40001' } }])
    expect(heard[0]?.delayMs).toBeGreaterThanOrEqual(waited)
  })

  test('a wait ends with its deadline or signal, as a pause does, and leaves nothing behind', async () => {
    const turn = await hasTurn(busy)
    const undone: string[] = []
    const abort = new AbortController()
    const stopped = rejection(
      busy.withTransaction(
        async (tx) => {
          tx.afterRollback(() => undone.push('rolled back'))
          if (tx.attempt === 1) await tx.query(raise)
        },
        { signal: abort.signal },
      ),
    )
    await eventually('it waits', () => busy.stats().retryGate.waiting === 1)
    abort.abort(new Error('enough'))
    expect(await stopped).toMatchObject({
      code: 'LIFEGUARD_ABORTED',
      outcome: 'cancelled',
      cause: { message: 'enough' },
    })
    expect(undone).toEqual(['rolled back'])
    expect(busy.stats()).toMatchObject({ retries: 1, retryGate: { waiting: 0 } })
    const late = await rejection(undoneOnce(busy, 'late', { signal: AbortSignal.timeout(30) }))
    expect(late).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    const optimistic = busy.withOptimisticRetry(() => Promise.reject(new VersionConflictError('b')), {
      signal: AbortSignal.timeout(30),
    })
    expect(await rejection(optimistic)).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await turn.release()
    expect(busy.stats().retryGate).toMatchObject(nothing)
  })

  test('a turn that does not end holds up the others for a while only', async () => {
    const timed = testPool(database.url, { max: 1 })
    const [first, second] = await Promise.all([hasTurn(timed), undoneOnce(timed, 'in at last')])
    expect(second).toBe('in at last')
    const never = rejection(
      timed.withTransaction((tx) => tx.query(raise), { timeoutMs: 60, retry: { attempts: 1_000_000 } }),
    )
    expect(await never).toBeInstanceOf(OperationTimeoutError)
    await first.release()
    expect(timed.stats().retryGate).toMatchObject(nothing)
  })

  test('whoever holds a lock or is inside of other work does not wait for them', async () => {
    const locked = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const holding = busy.withLock('k', async () => {
      locked.resolve()
      await goOn.promise
      return await undoneOnce(busy, 'under the lock')
    })
    await locked.promise
    // It has the turn, and waits for the lock of one who is about to be undone.
    const turn = await hasTurn(busy, () => busy.withLock('k', async () => undefined))
    goOn.resolve()
    expect(await holding).toBe('under the lock')
    await turn.release()

    const around = await hasTurn(busy)
    const outside = busy.withTransaction(async (tx) => {
      await tx.query('update counter set n = 7 where id = 7')
      return await busy.outsideTransaction(() => undoneOnce(busy, 'outside'))
    })
    expect(await outside).toBe('outside')
    const other = testPool(database.url, { max: 2 })
    const across = other.withTransaction(() => undoneOnce(busy, 'in a transaction of another pool'))
    expect(await across).toBe('in a transaction of another pool')
    await using lock = await busy.acquireLock('h')
    const onHeld = lock.withTransaction(async (tx) => {
      if (tx.attempt === 1) await tx.query(raise)
      return 'on the session of a lock'
    })
    expect(await onHeld).toBe('on the session of a lock')
    await around.release()
    expect(busy.stats().retryGate).toMatchObject(nothing)
  })

  test('work in its turn does not wait for itself', async () => {
    const turn = await hasTurn(busy, () => undoneOnce(busy, 'inside of optimistic work'))
    await turn.release()
    const transaction = busy.withTransaction(async (tx) => {
      if (tx.attempt === 1) await tx.query(raise)
      return await busy.outsideTransaction(() => undoneOnce(busy, 'beside a transaction'))
    })
    expect(await transaction).toBe('beside a transaction')
    expect(await notes()).toEqual(['beside a transaction', 'inside of optimistic work'])
    expect(busy.stats().retryGate).toMatchObject(nothing)
  })

  test('pauses that a caller has chosen are used as they are, and lost connections have theirs', async () => {
    const turn = await hasTurn(busy)
    expect(await undoneOnce(busy, 'chosen', { retry: { backoff: { baseMs: 1 } } })).toBe('chosen')
    let made = 0
    await busy.withOptimisticRetry(
      async () => {
        made += 1
        if (made < 3) throw new VersionConflictError('c')
      },
      { backoff: { baseMs: 0 } },
    )
    expect(made).toBe(3)
    const lost = busy.withTransaction(async (tx) => {
      if (tx.attempt === 1) await tx.query('select pg_terminate_backend(pg_backend_pid())')
      return tx.attempt
    })
    expect(await lost).toBe(2)
    await turn.release()
  })

  test.each(['fast', 'graceful'] as const)('the end of the pool is theirs too: %s', async (mode) => {
    const turn = await hasTurn(busy)
    const queued = ['a', 'b', 'c'].map((note) => rejection(undoneOnce(busy, note)))
    await untilWaiting(3)
    await busy.end({ mode })
    // Whoever has the turn need not end it: its time passes.
    slowness = 1
    for (const error of await Promise.all(queued)) expect(error).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
    await turn.release()
    expect(busy.stats().retryGate).toMatchObject(nothing)
    expect(await notes()).toEqual([])
  })
})
