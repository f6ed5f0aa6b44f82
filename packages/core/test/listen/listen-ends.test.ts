import { AsyncLocalStorage } from 'node:async_hooks'
import { getEventListeners } from 'node:events'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { adapterPool } from '../../src/adapter.js'
import { PoolClosedError, type Subscription } from '../../src/index.js'
import { collectGarbage } from '../support/garbage.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
afterEach(() => {
  vi.restoreAllMocks()
})

describe('subscriptions end when end() begins', () => {
  test.each(['graceful', 'fast'] as const)('%s: each owner is told once, and hears no more', async (mode) => {
    const request = new AsyncLocalStorage<string>()
    const [pool, other] = [testPool(database.url), testPool(database.url)]
    const ends: unknown[] = []
    const heard: string[] = []
    const listen = (name: string): Promise<Subscription> =>
      request.run(name, () =>
        pool.listen(['news', name], (payload) => heard.push(payload), {
          onEnd: (error) => ends.push([request.getStore(), error.constructor.name, adapterPool(pool).context]),
        }),
      )
    await listen('first')
    const second = await listen('second')
    const left = await listen('left')
    await left.unlisten()
    const held = await pool.acquire()
    const ended = pool.end({ mode })
    expect(ends).toEqual([
      ['first', 'PoolClosedError', undefined],
      ['second', 'PoolClosedError', undefined],
    ])
    await other.notify('news', 'late')
    await second.unlisten()
    await eventually('the session is gone while work goes on', async () => {
      const { rows } = await other.query(
        `select from pg_stat_activity where datname = current_database() and query ~ '^(un)?listen '`,
      )
      return rows.length === 0
    })
    held.release()
    await ended
    expect(heard).toEqual([])
    expect(ends).toHaveLength(2)
  })

  test('who still waits is rejected at once, and new ones are refused', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 1 })
    const connection = await pool.acquire()
    await proxy.refuse()
    const waiting = rejection(pool.listen('news', () => undefined, { timeoutMs: 60_000 }))
    const ended = pool.end({ timeoutMs: 60_000 })
    expect(await waiting).toBeInstanceOf(PoolClosedError)
    expect(await rejection(pool.listen('news', () => undefined))).toBeInstanceOf(PoolClosedError)
    connection.release()
    await ended
  })

  test('the end can be undone: what has ended stays so, and there may be new ones', async () => {
    const pool = testPool(database.url, { max: 2 })
    const heard: string[] = []
    const ends: string[] = []
    await pool.listen('news', (payload) => heard.push(`old ${payload}`), { onEnd: () => ends.push('old') })
    const held = await pool.acquire()
    const ended = rejection(pool.end())
    expect(pool.cancelEnd()).toBe(true)
    // While the old session may still be on its way out.
    await pool.listen('news', (payload) => heard.push(`new ${payload}`), { onEnd: () => ends.push('new') })
    expect(await ended).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    await pool.notify('news', 'a')
    await eventually('it is heard', () => heard.length > 0)
    held.release()
    await pool.end()
    expect(heard).toEqual(['new a'])
    expect(ends).toEqual(['old', 'new'])
  })

  test('an onEnd that throws or rejects is a warning, and stops neither the others nor the end', async () => {
    const warnings: unknown[] = []
    vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(warning))
    const pool = testPool(database.url)
    const wrong = new Error('of onEnd')
    const ends: string[] = []
    await pool.listen('news', () => undefined, {
      onEnd: () => {
        throw wrong
      },
    })
    await pool.listen('news', () => undefined, { onEnd: async () => Promise.reject(wrong) })
    await pool.listen('news', () => undefined, { onEnd: () => ends.push('last') })
    await pool.end()
    expect(ends).toEqual(['last'])
    await eventually('both are warned of', () => warnings.length === 2)
    for (const warning of warnings) expect(warning).toMatchObject({ name: 'LifeguardListenerWarning', cause: wrong })
  })
})

describe('what has listened leaves nothing behind', () => {
  const abortListeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

  test('ten thousand times with one long-lived signal, at once and one after the other', async () => {
    const pool = testPool(database.url, { listen: { heartbeatMs: 30_000 } })
    await using _kept = await pool.listen('kept', () => undefined)
    const { signal } = new AbortController()
    for (let round = 0; round < 10; round++) {
      const names = Array.from({ length: 990 }, (_, n) => `c${n % 50}`)
      const all = await Promise.all(names.map((name) => pool.listen(name, () => undefined, { signal })))
      expect(abortListeners(signal)).toBe(990)
      await Promise.all(all.map((one) => one.unlisten()))
      for (let n = 0; n < 10; n++) await (await pool.listen('again', () => undefined, { signal })).unlisten()
      expect(abortListeners(signal)).toBe(0)
    }
  }, 120_000)

  test('the promises of a session do not grow with what it has heard of', async () => {
    const pool = testPool(database.url)
    await using _kept = await pool.listen('kept', () => undefined)
    const handlers: WeakRef<object>[] = []
    const listenOnce = async (): Promise<void> => {
      const handler = (): void => undefined
      handlers.push(new WeakRef(handler))
      await (await pool.listen('news', handler)).unlisten()
    }
    for (let n = 0; n < 20; n++) await listenOnce()
    await eventually('every handler is collected', async () => {
      await collectGarbage()
      return handlers.every((one) => one.deref() === undefined)
    })
  })

  test('ended by the pool, by the signal, or never begun', async () => {
    const pool = testPool(database.url)
    const { signal } = new AbortController()
    const [own, late] = [new AbortController(), new AbortController()]
    await pool.listen('a', () => undefined, { signal })
    await pool.listen('b', () => undefined, { signal: own.signal })
    own.abort()
    await rejection(pool.listen('c', () => undefined, { signal, timeoutMs: 0 }))
    await rejection(pool.listen('c', () => undefined, { signal: AbortSignal.abort() }))
    const waiting = rejection(pool.listen('d', () => undefined, { signal: late.signal }))
    late.abort()
    expect(await waiting).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    expect([abortListeners(signal), abortListeners(own.signal), abortListeners(late.signal)]).toEqual([1, 0, 0])
    await pool.end()
    expect(abortListeners(signal)).toBe(0)
  })

  test('a signal that aborts at whatever moment ends it: also between the word of the server and that to the caller', async () => {
    const [pool, other] = [testPool(database.url), testPool(database.url)]
    const aborts = Array.from({ length: 12 }, () => new AbortController())
    const heard: unknown[] = []
    // Called right before those are told for whom the session listens anew.
    const onGap = (): void => {
      aborts.forEach((abort, hops) => {
        const hop = (left: number): void => (left === 0 ? abort.abort() : queueMicrotask(() => hop(left - 1)))
        hop(hops)
      })
    }
    await using _kept = await pool.listen('kept', (payload) => heard.push(payload), { onGap })
    const { rows } = await other.query<{ pid: number }>(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ~ '^listen '`,
    )
    expect(rows).toHaveLength(1)
    const given = await Promise.allSettled(
      aborts.map(({ signal }, n) => pool.listen('news', () => heard.push(n), { signal })),
    )
    for (const one of given) if (one.status === 'rejected') expect(one.reason.code).toBe('LIFEGUARD_ABORTED')
    await eventually('all have aborted', () => aborts.every(({ signal }) => signal.aborted))
    await other.notify('news')
    await other.notify('kept', 'last')
    await eventually('the last is heard', () => heard.includes('last'))
    expect(heard).toEqual(['last'])
    expect(aborts.map(({ signal }) => abortListeners(signal))).toEqual(aborts.map(() => 0))
  })

  test('who is taken off by a handler before it is not called any more', async () => {
    const pool = testPool(database.url)
    const heard: string[] = []
    let second: Subscription | undefined
    await pool.listen('news', (payload) => {
      heard.push(`first ${payload}`)
      void second?.unlisten()
    })
    second = await pool.listen('news', (payload) => heard.push(`second ${payload}`))
    await pool.notify('news', 'a')
    await pool.notify('news', 'b')
    await eventually('both are heard', () => heard.length >= 2)
    expect(heard).toEqual(['first a', 'first b'])
  })

  test('unlisten settles while others come and go', async () => {
    const pool = testPool(database.url)
    let isOver = false
    const churn = (async () => {
      for (let n = 0; !isOver; n++) void (await pool.listen(`churn${n % 7}`, () => undefined)).unlisten()
    })()
    for (let n = 0; n < 20; n++) await (await pool.listen('mine', () => undefined)).unlisten()
    isOver = true
    await churn
  })
})
