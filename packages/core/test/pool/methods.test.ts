import { inspect } from 'node:util'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test, vi } from 'vitest'
import type { Pool } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase()

test('a method can be taken out of the pool, and keeps the type of what it gives', async () => {
  const { withTransaction, withLock, read, stats, end } = testPool(database.url)
  const one: number = await withTransaction(async (tx) => (await tx.query('select 1')).rows.length)
  const two: number = await withLock('methods', async () => 2)
  const three: number = await read(async () => 3)
  expect([one, two, three]).toEqual([1, 2, 3])
  expect(stats().queries.ok).toBeGreaterThan(0)
  await end()
})

test('an argument too many is ignored', async () => {
  const pool = testPool(database.url)
  const withTransaction = pool.withTransaction as (...args: readonly unknown[]) => Promise<unknown>
  await expect(withTransaction(async () => 'done', {}, 0, [])).resolves.toBe('done')
})

test('a stack names the method, and the line that has called it', async () => {
  const pool = testPool(database.url)
  const failing = async (): Promise<never> => {
    throw new Error('of the callback')
  }
  const { stack } = await pool.withDeadline(failing, { timeoutMs: 1_000 }).catch((error: Error) => error)
  expect(stack).toMatch(/at (LifeguardPool\.)?withDeadline /)
  expect(stack).toContain('methods.test.ts')
  expect(pool.withDeadline.name).toBe('withDeadline')
})

test('a method can be replaced by a mock, and restored', async () => {
  const pool = testPool(database.url)
  const methods = ['query', 'withLock', 'end'] as const
  for (const name of methods) {
    const spy = vi.spyOn(pool, name).mockResolvedValue('mocked' as never)
    const call = pool[name] as (...args: readonly unknown[]) => Promise<unknown>
    expect(await call('key', async () => 'called')).toBe('mocked')
    expect(spy).toHaveBeenCalledOnce()
    spy.mockRestore()
  }
  expect(await pool.withLock('methods', async () => 'called')).toBe('called')
  expect((await pool.query('select 1')).rowCount).toBe(1)
})

test('a Proxy can stand in front of it', async () => {
  const pool = testPool(database.url)
  const calls: PropertyKey[] = []
  const observed = new Proxy(pool, {
    get(target, name) {
      const found = Reflect.get(target, name) as unknown
      if (typeof found !== 'function') return found
      return (...args: readonly unknown[]): unknown => {
        calls.push(name)
        return Reflect.apply(found, target, args)
      }
    },
  })
  const inLock = await observed.withLock('methods', async () => (await observed.query('select 1')).rowCount)
  expect(inLock).toBe(1)
  expect(calls).toEqual(['withLock', 'query'])
})

test('what is printed of it is its name', () => {
  const pool: Pool = testPool(database.url, { name: 'shop' })
  expect(inspect(pool)).toBe("LifeguardPool { name: 'shop' }")
})
