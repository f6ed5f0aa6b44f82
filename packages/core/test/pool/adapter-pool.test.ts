import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { adapterPool } from '../../src/adapter.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import { InvalidArgumentError, type Pool } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase()

test('is the same object at every call, and knows its pool', () => {
  const pool = testPool(database.url)
  const own = adapterPool(pool)
  expect(adapterPool(pool)).toBe(own)
  expect(own.pool).toBe(pool)
  expect(adapterPool(testPool(database.url))).not.toBe(own)
})

test('runs statements, and sees what is open around the code', async () => {
  const pool = testPool(database.url)
  const own = adapterPool(pool)
  const now = async (): Promise<unknown> =>
    (await own.execute({ text: 'select now() as now' }, noDeadline)).rows[0]?.['now']
  expect([own.context, own.openIsolation]).toEqual([undefined, undefined])
  await pool.withTransaction(
    async (tx) => {
      const { context, openIsolation } = own
      expect(context).toBeDefined()
      expect(openIsolation).toBe('serializable')
      const { rows } = await tx.query<{ now: Date }>('select now() as now')
      // The same transaction has the same time.
      expect(await now()).toEqual(rows[0]?.now)
    },
    { isolation: 'serializable' },
  )
  expect(own.context).toBeUndefined()
})

test('the pool of a user has none of it', () => {
  const pool = testPool(database.url)
  const own = adapterPool(pool)
  const names = Object.keys(own).filter((name) => name !== 'pool')
  expect(names).toHaveLength(11)
  // How the pool itself runs what it is given is hidden by its type alone.
  expect(names.filter((name) => name in pool)).toEqual(['execute'])
  // @ts-expect-error Pool has no such member
  expect(pool.execute).toBeTypeOf('function')
})

test.each<readonly [what: string, make: (pool: Pool) => unknown, given: string]>([
  ['nothing', () => undefined, 'of type undefined'],
  ['null', () => null, 'null'],
  ['a URL', () => database.url, 'of type string'],
  ['an object', () => ({}), 'of type object'],
  ['what only looks like one', () => ({ beginTransaction: () => undefined, query: () => undefined }), 'of type object'],
  ['its view as a pg.Pool', (pool) => pool.asPgPool(), 'of type object'],
  ['a proxy of one', (pool) => new Proxy(pool, {}), 'of type object'],
  ['an object made of one', (pool) => Object.create(pool) as unknown, 'of type object'],
])('%s is refused', (_, make, given) => {
  const pool = make(testPool(database.url)) as Pool
  expect(() => adapterPool(pool)).toThrow(InvalidArgumentError)
  expect(() => adapterPool(pool)).toThrow(`pool is ${given}; allowed: a pool made by createPool()`)
})
