import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { classify, type Pool, sqlStateOf } from '../../src/index.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({
  setup: `create function fail(state text) returns void language plpgsql as
    $$ begin raise exception 'failed' using errcode = state; end $$`,
})

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url, { environment: { random: () => 0 } })
})

const trap = (): never => {
  throw new Error('it was looked at')
}
function withGetter(name: string): Error {
  return Object.defineProperty(new Error('x'), name, { get: trap })
}
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const circular = Object.assign(new AggregateError([], 'x'), { code: 'ECONNRESET' })
circular.errors.push(circular, new Error('y', { cause: circular }))

/** What a callback may throw, too. */
const objects: readonly (readonly [string, unknown])[] = [
  ['a Proxy that is revoked', revoked()],
  ['a Proxy whose traps throw', new Proxy(new Error('x'), { get: trap, getPrototypeOf: trap, has: trap })],
  ...['cause', 'meta', 'code', 'originalCode', 'name', 'message', 'stack'].map(
    (name) => [`an error whose ${name} throws`, withGetter(name)] as const,
  ),
  ['a field of its meta that throws', Object.assign(new Error('x'), { meta: withGetter('driverAdapterError') })],
  ['an AggregateError whose errors throw', Object.defineProperty(new AggregateError([]), 'errors', { get: trap })],
  ['an AggregateError that holds itself', circular],
  ['a frozen error', Object.freeze(Object.assign(new Error('x'), { code: '40001' }))],
  ['an object without a prototype', Object.assign(Object.create(null), { code: '40001' })],
  ['a function', Object.assign(() => undefined, { code: '40001' })],
  ['a symbol', Symbol('40001')],
  ['a text', '40001'],
  ['nothing', undefined],
]

/** In an array: vitest looks at what it is given. */
async function thrownBy(work: Promise<unknown>): Promise<readonly [unknown]> {
  try {
    await work
  } catch (error) {
    return [error]
  }
  throw new Error('it went well')
}

describe.each(objects)('%s', (_, thrown) => {
  let calls = 0
  const fn = async (): Promise<never> => {
    calls += 1
    throw thrown
  }
  beforeEach(() => {
    calls = 0
  })

  test.each<readonly [string, () => Promise<unknown>]>([
    ['withTransaction', () => pool.withTransaction((tx) => tx.query('select 1').then(fn))],
    [
      'a savepoint',
      () => pool.withTransaction((tx) => tx.withTransaction((inner) => inner.query('select 1').then(fn))),
    ],
    ['withTransaction with a limit', () => pool.withTransaction(fn, { timeoutMs: 60_000 })],
    ['withDeadline', () => pool.withDeadline(fn, { timeoutMs: 60_000 })],
    ['withOptimisticRetry', () => pool.withOptimisticRetry(fn)],
    ['withLock', () => pool.withLock('k', fn)],
    ['tryWithLock', () => pool.tryWithLock('k', fn)],
    ['a lock of a transaction', () => pool.withLock('k', fn, { scope: 'transaction' })],
    ['withSemaphore', () => pool.withSemaphore('k', 1, fn)],
    ['read', () => pool.read(fn)],
    ['fanOut', () => pool.fanOut({ a: fn })],
    ['forEachConcurrent', () => pool.forEachConcurrent([1], fn)],
  ])('comes out of %s as it was thrown, once, and its connection goes back', async (_helper, run) => {
    const [error] = await thrownBy(run())
    expect(error === thrown).toBe(true)
    expect(calls).toBe(1)
    await eventually('all connections are back', () => pool.stats().pool.active === 0)
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('does not make withFallback fall back', async () => {
    const cache = new Map<string, unknown>()
    await pool.withFallback('k', async () => 'good', { cache })
    const [error] = await thrownBy(pool.withFallback('k', fn, { cache }))
    expect(error === thrown).toBe(true)
  })

  test('does not hide the conflict that has undone the transaction', async () => {
    let runs = 0
    await pool.withTransaction(async (tx) => {
      runs += 1
      if (runs > 1) return
      await thrownBy(tx.query("select fail('40001')"))
      throw thrown
    })
    expect(runs).toBe(2)
    expect(pool.stats().pool.active).toBe(0)
  })

  test('of a hook is a warning, and what was committed stays so', async () => {
    const warned: unknown[] = []
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation((said) => void warned.push(said))
    const value = await pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      tx.afterCommit(fn)
      return 'committed'
    })
    warning.mockRestore()
    expect(value).toBe('committed')
    expect(warned).toHaveLength(1)
  })

  test('can be classified', () => {
    expect(() => classify(thrown)).not.toThrow()
    expect(() => sqlStateOf(thrown)).not.toThrow()
  })
})
