import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { InvalidArgumentError, type Pool } from '../../src/index.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url)
})

/** A call that ends when it is told to. */
function held(): {
  fn: () => Promise<string>
  started: number
  end: (value: string) => void
  fail: (e: Error) => void
} {
  const waiting: PromiseWithResolvers<string>[] = []
  return {
    fn: () => {
      const one = Promise.withResolvers<string>()
      waiting.push(one)
      return one.promise
    },
    get started() {
      return waiting.length
    },
    end: (value) => waiting.forEach((one) => void one.resolve(value)),
    fail: (error) => waiting.forEach((one) => void one.reject(error)),
  }
}

describe('callers of one key share a call', () => {
  test('of one cache only', async () => {
    const of = (tenant: string, cache: Map<string, unknown>): Promise<unknown> =>
      pool
        .withFallback('me', async () => (await pool.query('select $1::text as t', [tenant])).rows[0]?.['t'], { cache })
        .then(({ value }) => value)
    expect(await Promise.all([of('a', new Map()), of('b', new Map())])).toEqual(['a', 'b'])
  })

  test('not out of a transaction, whose view is its own', async () => {
    const cache = new Map<string, unknown>()
    const outside = held()
    const first = pool.withFallback('k', outside.fn, { cache })
    await eventually('it has begun', () => outside.started === 1)
    const inside = await pool.withTransaction(() => pool.withFallback('k', async () => 'inside', { cache }))
    expect(inside.value).toBe('inside')
    outside.end('outside')
    expect((await first).value).toBe('outside')
  })

  test('one that joins keeps its own limit and its own signal; the others get the answer', async () => {
    const cache = new Map<string, unknown>()
    const call = held()
    const ask = (options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<unknown> =>
      pool.withFallback('k', call.fn, { cache, ...options })
    const leader = ask()
    await eventually('it has begun', () => call.started === 1)
    const abort = new AbortController()
    const joined = [ask({ timeoutMs: 20 }), ask({ signal: abort.signal }), ask()]
    const ends = [rejection(joined[0] as Promise<unknown>), rejection(joined[1] as Promise<unknown>)]
    expect(await ends[0]).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', outcome: 'not-sent' })
    abort.abort(new Error('enough'))
    expect(await ends[1]).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
    call.end('answer')
    expect(await leader).toMatchObject({ value: 'answer', stale: false })
    expect(await joined[2]).toMatchObject({ value: 'answer', stale: false })
    expect(call.started).toBe(1)
  })

  test('when the one that asked gives up, one of the others asks anew', async () => {
    const cache = new Map<string, unknown>()
    for (const gone of ['signal', 'timeoutMs'] as const) {
      const call = held()
      const abort = new AbortController()
      const ask = (options = {}): Promise<unknown> => pool.withFallback(gone, call.fn, { cache, ...options })
      const leader = rejection(ask(gone === 'signal' ? { signal: abort.signal } : { timeoutMs: 200 }))
      await eventually('it has begun', () => call.started === 1)
      const others = [ask(), ask(), ask()]
      abort.abort()
      expect(await leader).toMatchObject({ code: gone === 'signal' ? 'LIFEGUARD_ABORTED' : 'LIFEGUARD_TIMEOUT' })
      await eventually('another has begun', () => call.started === 2)
      call.end('answer')
      for (const one of others) expect(await one).toMatchObject({ value: 'answer', stale: false })
      expect(call.started).toBe(2)
    }
  })

  test('one that joins and runs out of time gets its last good answer', async () => {
    const cache = new Map<string, unknown>()
    await pool.withFallback('k', async () => 'good', { cache })
    const call = held()
    const leader = pool.withFallback('k', call.fn, { cache })
    await eventually('it has begun', () => call.started === 1)
    expect(await pool.withFallback('k', call.fn, { cache, timeoutMs: 20 })).toMatchObject({
      value: 'good',
      stale: true,
      error: { code: 'LIFEGUARD_TIMEOUT' },
    })
    const failed = new Error('of the statement')
    const joined = rejection(pool.withFallback('k', call.fn, { cache }))
    call.fail(failed)
    expect(await rejection(leader)).toBe(failed)
    expect(await joined).toBe(failed)
  })
})

describe('a cache that does not work is a miss', () => {
  const never = (): Promise<never> => new Promise(() => undefined)
  const throwing = (): never => {
    throw new Error('broken')
  }
  const rejecting = async (): Promise<never> => throwing()
  const nothing = (): undefined => undefined
  const trap = {
    get value(): unknown {
      return throwing()
    },
    storedAt: 1,
  }

  const thenable = Object.defineProperty({}, 'then', { value: throwing })

  test.each<readonly [string, { get: (key: string) => unknown; set: () => unknown }, readonly string[]]>([
    ['that throws', { get: throwing, set: throwing }, ['get', 'set']],
    ['that rejects', { get: rejecting, set: rejecting }, ['get', 'set']],
    ['that never answers', { get: never, set: never }, ['get', 'set']],
    ['that gives a text', { get: () => 'rubbish', set: nothing }, ['get']],
    ['that gives a number', { get: async () => 7, set: nothing }, ['get']],
    ['that gives an object of another form', { get: () => ({ value: 1 }), set: nothing }, ['get']],
    ['that gives a time that is none', { get: () => ({ value: 1, storedAt: Number.NaN }), set: nothing }, ['get']],
    ['that gives what throws', { get: () => trap, set: nothing }, ['get']],
    ['whose `then` throws', { get: () => thenable, set: nothing }, ['get']],
  ])('%s', async (_, cache, operations) => {
    const heard: unknown[] = []
    pool.on('cache-error', ({ key, operation }) => heard.push([key, operation]))
    const seen = await pool.withFallback('k', async () => 'fresh', { cache, ttlMs: 60_000 })
    expect(seen).toEqual({ value: 'fresh', stale: false, ageMs: 0, error: undefined })
    expect(heard).toEqual(operations.map((operation) => ['k', operation]))
  })

  test('nor does it hold a caller longer than the caller waits', async () => {
    const cache = { get: never, set: never }
    const fn = vi.fn(async () => 'fresh')
    const error = await rejection(pool.withFallback('k', fn, { cache, timeoutMs: 20 }))
    expect(error).toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    expect(fn).not.toHaveBeenCalled()
  })

  test('where nobody listens a warning says so, once for each cache', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const cache = { get: rejecting, set: throwing }
    for (let i = 0; i < 3; i += 1) await pool.withFallback('k', async () => 'fresh', { cache })
    expect(warn.mock.calls).toEqual([
      [expect.objectContaining({ name: 'LifeguardCacheWarning', message: 'broken', cause: expect.any(Error) })],
    ])
    warn.mockRestore()
  })
})

test('what cannot be meant is refused', () => {
  const cache = new Map<string, unknown>()
  expect(() => pool.withFallback(7 as never, async () => 1, { cache })).toThrow(InvalidArgumentError)
  expect(() => pool.withFallback('k', 'select 1' as never, { cache })).toThrow(InvalidArgumentError)
})
