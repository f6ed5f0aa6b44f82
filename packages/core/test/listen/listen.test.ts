import { AsyncLocalStorage } from 'node:async_hooks'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { adapterPool } from '../../src/adapter.js'
import { InvalidArgumentError, type ListenGap, type Pool, type Subscription } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
let pool: Pool
let other: Pool
beforeEach(() => {
  pool = testPool(database.url, { max: 1 })
  other = testPool(database.url, { max: 1 })
})

const listeningPid = async (): Promise<number | undefined> => {
  const { rows } = await other.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and query ~ '^(un)?listen ' order by backend_start desc`,
  )
  return rows[0]?.pid
}

describe('listen', () => {
  test('hears what is sent, in order, with who sent it', async () => {
    const heard: unknown[] = []
    await using subscription = await pool.listen('news', (payload, origin) => heard.push([payload, origin]))
    expect(subscription.channels).toEqual(['news'])
    await using connection = await other.acquire()
    for (let n = 0; n < 20; n++) await connection.notify('news', `n${n}`)
    await eventually('all are heard', () => heard.length === 20)
    expect(heard).toEqual(Array.from({ length: 20 }, (_, n) => [`n${n}`, { channel: 'news', pid: connection.pid }]))
  })

  test('takes names of any kind, several at once, and shares one session beside the pool', async () => {
    const heard: string[] = []
    const odd = 'Or"der; unlisten *; --'
    await using first = await pool.listen([odd, 'b', 'b'], (payload, { channel }) =>
      heard.push(`1 ${channel} ${payload}`),
    )
    await using second = await pool.listen('b', (payload) => heard.push(`2 ${payload}`))
    expect(first.channels).toEqual([odd, 'b'])
    expect(second.channels).toEqual(['b'])
    await pool.notify(odd, 'x')
    await pool.notify('b')
    await eventually('all are heard', () => heard.length === 3)
    expect(heard).toEqual([`1 ${odd} x`, '1 b ', '2 '])
    expect(pool.stats()).toMatchObject({ pool: { max: 1, total: 1 } })
    const { rows } = await other.query(
      'select count(*)::int as n from pg_stat_activity where datname = current_database()',
    )
    // One of each pool, and the one that listens.
    expect(rows).toEqual([{ n: 3 }])
  })

  test('what is sent in a transaction is heard when it commits, and never when it does not', async () => {
    const heard: string[] = []
    await using _ = await pool.listen('news', (payload) => heard.push(payload))
    await other.withTransaction(async (tx) => {
      await tx.notify('news', 'committed')
      await tx
        .withTransaction(async (inner) => {
          await inner.notify('news', 'undone')
          throw new Error('no')
        })
        .catch(() => undefined)
      await other.notify('news', 'of the pool, committed too')
      expect(heard).toEqual([])
    })
    await rejection(
      other.withTransaction(async () => {
        await other.notify('news', 'rolled back')
        throw new Error('no')
      }),
    )
    await other.notify('news', 'last')
    await eventually('the last is heard', () => heard.includes('last'))
    expect(heard).toEqual(['committed', 'of the pool, committed too', 'last'])
  })

  test('is no part of a transaction around it, nor is its handler', async () => {
    const counts: unknown[] = []
    const subscription = await pool.withTransaction(async (tx) => {
      await tx.query('create temp table mine (n int) on commit drop')
      return await pool.listen('news', async () => {
        counts.push(pool.currentTransaction, (await pool.query('select 1 as n')).rows[0])
      })
    })
    await other.notify('news')
    await eventually('the handler is through', () => counts.length === 2)
    expect(counts).toEqual([undefined, { n: 1 }])
    await subscription.unlisten()
  })

  test('leaves all that is open around it, while its handlers stay in the context of the caller', async () => {
    const request = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const handler = (): void => void seen.push([adapterPool(pool).context, request.getStore()])
    const listening = (): Promise<Subscription> => pool.listen('news', handler)
    const around: Readonly<Record<string, (fn: () => Promise<Subscription>) => Promise<Subscription>>> = {
      read: (fn) => pool.read(fn),
      causality: (fn) => pool.withCausality(undefined, fn),
      deadline: (fn) => pool.withDeadline(fn, { timeoutMs: 60_000 }),
      lock: (fn) => pool.withLock('job', fn),
      transaction: (fn) => pool.withTransaction(fn),
    }
    for (const [name, within] of Object.entries(around)) {
      await using _ = await request.run(name, () => within(listening))
      seen.length = 0
      await other.notify('news')
      await eventually('it is heard', () => seen.length === 1)
      expect(seen).toEqual([[undefined, name]])
    }
  })

  test('ends with unlisten, once', async () => {
    const heard: string[] = []
    const one = await pool.listen('news', (payload) => heard.push(`one ${payload}`))
    const two = await pool.listen(['news', 'more'], (payload) => heard.push(`two ${payload}`))
    await one.unlisten()
    await one.unlisten()
    await other.notify('news', 'a')
    await eventually('two heard it', () => heard.length === 1)
    await two.unlisten()
    await eventually('the session is gone', async () => (await listeningPid()) === undefined)
    await using three = await pool.listen('news', (payload) => heard.push(`three ${payload}`))
    await other.notify('news', 'b')
    await eventually('three heard it', () => heard.length === 2)
    expect(heard).toEqual(['two a', 'three b'])
    expect(three.channels).toEqual(['news'])
  })

  test('ends with its signal', async () => {
    const abort = new AbortController()
    await pool.listen('news', () => undefined, { signal: abort.signal })
    abort.abort()
    await eventually('the session is gone', async () => (await listeningPid()) === undefined)
    expect(await rejection(pool.listen('news', () => undefined, { signal: abort.signal }))).toMatchObject({
      code: 'LIFEGUARD_ABORTED',
    })
  })

  test('ends with the pool, which it does not hold up', async () => {
    await pool.listen('news', () => undefined)
    await pool.end({ timeoutMs: 5_000 })
    await eventually('the session is gone', async () => (await listeningPid()) === undefined)
    expect(await rejection(pool.listen('news', () => undefined))).toMatchObject({ code: 'LIFEGUARD_POOL_CLOSED' })
  })

  test('refuses what is no channel and no handler at once', async () => {
    for (const wrong of ['', 'a\0b', 'x'.repeat(64), 7 as never, []]) {
      expect(await rejection(pool.listen(wrong, () => undefined))).toBeInstanceOf(InvalidArgumentError)
    }
    expect(await rejection(pool.listen('news', 7 as never))).toBeInstanceOf(InvalidArgumentError)
    expect(await rejection(pool.notify('', 'x'))).toBeInstanceOf(InvalidArgumentError)
    expect(await rejection(pool.notify('news', 7 as never))).toBeInstanceOf(InvalidArgumentError)
    expect(() => testPool(database.url, { listen: { heartbeatMs: 0 } })).toThrow('listen.heartbeatMs is 0')
    expect(pool.stats().pool.total).toBe(0)
  })
})

describe('a handler that fails', () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => {
    warnings.push(warning)
  }
  beforeEach(() => void process.on('warning', onWarning))
  afterEach(() => void process.removeListener('warning', onWarning))

  test('becomes a warning; the others and the session go on', async () => {
    const heard: string[] = []
    await using _one = await pool.listen('news', () => {
      throw new Error('of a handler')
    })
    await using _two = await pool.listen('news', async () => {
      throw new Error('of a promise')
    })
    await using _three = await pool.listen('news', (payload) => heard.push(payload))
    await other.notify('news', 'a')
    await other.notify('news', 'b')
    await eventually('all are heard', () => heard.length === 2)
    await eventually('all are warned of', () => warnings.length >= 4)
    expect(new Set(warnings.map(({ message }) => message))).toEqual(new Set(['of a handler', 'of a promise']))
  })
})

describe('a session that is lost', () => {
  test('comes back, subscribes again, and tells of the gap', async () => {
    const heard: string[] = []
    const gaps: ListenGap[] = []
    await using _ = await pool.listen(['news', 'more'], (payload) => heard.push(payload), {
      onGap: (gap) => gaps.push(gap),
    })
    await using _late = await pool.listen('late', (payload) => heard.push(payload))
    for (let round = 1; round <= 3; round++) {
      const pid = await eventually('it listens', listeningPid)
      await other.query('select pg_terminate_backend($1)', [pid])
      await eventually('the gap is told', () => gaps.length === round)
      await other.notify('more', `m${round}`)
      await other.notify('late', `l${round}`)
      await eventually('both are heard', () => heard.length === round * 2)
    }
    expect(heard).toEqual(['m1', 'l1', 'm2', 'l2', 'm3', 'l3'])
    expect(gaps[0]?.sinceMs).toBeGreaterThan(0)
    expect(gaps[0]?.error).toMatchObject({ code: 'LIFEGUARD_CONNECTION_LOST' })
  })

  test('silently, is noticed by its heartbeat', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const behind = testPool(proxy.urlFor(database.url), { max: 1, listen: { heartbeatMs: 100 } })
    const heard: string[] = []
    const gaps: ListenGap[] = []
    await using _ = await behind.listen('news', (payload) => heard.push(payload), { onGap: (gap) => gaps.push(gap) })
    const stalled = (await proxy.connections()).map(({ id }) => id)
    expect(stalled).toHaveLength(1)
    await proxy.stall({ connections: stalled })
    await other.notify('news', 'missed')
    await eventually('the gap is told', () => gaps.length === 1)
    await other.notify('news', 'heard')
    await eventually('it is heard', () => heard.includes('heard'))
    expect(heard).toEqual(['heard'])
    expect(gaps[0]?.sinceMs).toBeGreaterThanOrEqual(100)
    await proxy.cut({ connections: stalled })
  })

  test('waits for a server that is away, and so does who wants to listen meanwhile', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const behind = testPool(proxy.urlFor(database.url), { max: 1 })
    const heard: string[] = []
    const gaps: ListenGap[] = []
    await using _ = await behind.listen('news', (payload) => heard.push(payload), { onGap: (gap) => gaps.push(gap) })
    await proxy.refuse()
    await proxy.cut()
    const error = await rejection(behind.listen('more', () => undefined, { timeoutMs: 300 }))
    expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'not-sent' })
    const waiting = behind.listen('more', (payload) => heard.push(payload))
    await proxy.accept()
    await using more = await waiting
    expect(more.channels).toEqual(['more'])
    await eventually('the gap is told', () => gaps.length === 1)
    await other.notify('more', 'a')
    await other.notify('news', 'b')
    await eventually('both are heard', () => heard.length === 2)
    expect(heard).toEqual(['a', 'b'])
  })

  test('wrong credentials are told at once', async () => {
    const url = new URL(database.url)
    url.pathname = '/there_is_no_such_database'
    expect(await rejection(testPool(url.href).listen('news', () => undefined))).toMatchObject({ code: '3D000' })
  })
})
