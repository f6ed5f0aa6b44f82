import { AsyncLocalStorage } from 'node:async_hooks'
import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { adapterPool } from '../../src/adapter.js'
import type { Pool, Subscription } from '../../src/index.js'
import { collectGarbage } from '../support/garbage.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
const request = new AsyncLocalStorage<object>()

/** Runs `fn` as a request would be, and gives a way to see whether anything still leads to that. */
async function asRequest(fn: () => Promise<unknown>): Promise<WeakRef<object>> {
  const store = { of: 'a request' }
  await request.run(store, fn)
  return new WeakRef(store)
}

async function untilCollected(what: string, ref: WeakRef<object>): Promise<void> {
  await eventually(`${what} is forgotten`, async () => {
    await collectGarbage()
    return ref.deref() === undefined
  })
}

/** What a request may be the first to do, while something of the pool goes on that it began. */
const firsts: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
  'a query, which opens a connection': (pool) => pool.query('select 1'),
  'a query with a bound': (pool) => pool.query('select 1', [], { timeoutMs: 60_000 }),
  'a query that is cancelled': (pool) => rejection(pool.query('select pg_sleep(60)', [], { timeoutMs: 5 })),
  'a transaction': (pool) => pool.withTransaction((tx) => tx.query('select 1')),
  'a lock': (pool) => pool.withLock('mine', async () => undefined),
  'a try of a lock': (pool) => pool.tryWithLock('mine', async () => undefined),
  'a subscription that ends': async (pool) => (await pool.listen('mine', () => undefined)).unlisten(),
  'an election that is stopped': async (pool) => {
    let candidacy: AsyncDisposable | undefined
    await new Promise<void>((leads) => {
      candidacy = pool.elect('mine', async () => leads())
    })
    await candidacy?.[Symbol.asyncDispose]()
  },
  'a stream': async (pool) => {
    for await (const _ of pool.stream('select generate_series(1, 100)'));
  },
  'a stream that is left': async (pool) => {
    for await (const _ of pool.stream('select generate_series(1, 100000)')) break
  },
  'a copyTo': (pool) => pool.copyTo({ text: 'select generate_series(1, 100)' }).toArray(),
  'a copyFrom': (pool) =>
    pool.withTransaction(async (tx) => {
      await tx.copyFrom({ table: 'item', columns: ['id'] }, [[1]])
      await tx.query('delete from item')
    }),
  'a batch': (pool) => pool.batch([{ text: 'select 1' }, { text: 'select 2' }]),
  'a client of the facade': async (pool) => {
    const client = await pool.asPgPool().connect()
    await client.query('select 1')
    client.release()
  },
  'a fallback': (pool) => pool.withFallback('key', async () => 1, { cache: new Map() }),
  'a read': (pool) => pool.read(() => pool.query('select 1')),
  'a pause': async (pool) => {
    await pool.pause()
    pool.resume()
  },
}

describe('nothing that goes on keeps the context of who began it', () => {
  test.each(Object.entries(firsts))('%s', async (name, first) => {
    const pool = testPool(database.url, { max: 3, min: 1, locks: { heartbeatMs: 1_000 } })
    const ref = await asRequest(() => first(pool))
    await untilCollected(name, ref)
    await pool.query('select 1')
  })

  test.each(Object.entries(firsts))('with replicas: %s', async (name, first) => {
    const pool = testPool(database.url, { replicas: [database.url], max: 3, locks: { heartbeatMs: 1_000 } })
    const ref = await asRequest(() => first(pool))
    await untilCollected(name, ref)
    await pool.query('select 1')
  })

  test('the session of a lock that others have come to share', async () => {
    const pool = testPool(database.url, { max: 2, locks: { heartbeatMs: 1_000 } })
    let others: AsyncDisposable | undefined
    const ref = await asRequest(() =>
      pool.withLock('first', async () => {
        others = await request.run({}, () => pool.acquireLock('second'))
      }),
    )
    await untilCollected('the first', ref)
    await others?.[Symbol.asyncDispose]()
  })

  test('the session that listens, once others listen too', async () => {
    const pool = testPool(database.url, { listen: { heartbeatMs: 1_000 } })
    let first: Subscription | undefined
    const ref = await asRequest(async () => {
      first = await pool.listen('first', () => undefined)
    })
    await using _second = await pool.listen('second', () => undefined)
    await first?.unlisten()
    first = undefined
    await untilCollected('the first', ref)
  })

  test('the search for a server that is away', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.urlFor(database.url), { max: 2, min: 1 })
    await proxy.refuse()
    const ref = await asRequest(() => rejection(pool.query('select 1', [], { timeoutMs: 50 })))
    await untilCollected('who asked first', ref)
  })
})

describe('callbacks of what outlives its caller', () => {
  test('a leader and what is reported of it are in the context of who stood, outside of what is open there', async () => {
    const named = new AsyncLocalStorage<string>()
    const [pool, other] = [testPool(database.url), testPool(database.url)]
    const seen: unknown[] = []
    const note = (what: string): void =>
      void seen.push([what, named.getStore(), adapterPool(pool).context, adapterPool(other).context])
    const stood = Promise.withResolvers<void>()
    let terms = 0
    await named.run('who stood', () =>
      other.withTransaction(async (tx) => {
        await tx.query('select 1')
        await pool.withLock('around', async () => {
          pool.elect(
            'leader',
            async ({ signal }) => {
              terms += 1
              seen.push(['term', named.getStore(), adapterPool(other).context, pool.currentTransaction])
              if (terms === 1) throw new Error('once')
              stood.resolve()
              await new Promise((resolve) => signal.addEventListener('abort', resolve))
            },
            { onError: () => note('error'), onEnd: () => note('end') },
          )
        })
      }),
    )
    await stood.promise
    await named.run('who ends', () => pool.end())
    expect(seen).toEqual([
      ['term', 'who stood', undefined, undefined],
      ['error', 'who stood', undefined, undefined],
      ['term', 'who stood', undefined, undefined],
      ['end', 'who stood', undefined, undefined],
    ])
  })

  test('a handler is outside of what another pool has open around listen, too', async () => {
    const [pool, other] = [testPool(database.url), testPool(database.url)]
    const seen: unknown[] = []
    await other.withTransaction(async (tx) => {
      await tx.query('select 1')
      await pool.withDeadline(
        () =>
          pool.listen('news', async () => {
            seen.push([
              adapterPool(other).context,
              adapterPool(pool).context,
              (await other.query('select 1 as n')).rows,
            ])
          }),
        { timeoutMs: 60_000 },
      )
    })
    await pool.notify('news')
    await eventually('it is heard', () => seen.length === 1)
    expect(seen).toEqual([[undefined, undefined, [{ n: 1 }]]])
  })

  test('two pools are open around the same code, and each is its own', async () => {
    const [one, two] = [testPool(database.url), testPool(database.url)]
    await one.withTransaction(async (first) => {
      await two.withTransaction(async (second) => {
        expect([one.currentTransaction, two.currentTransaction]).toEqual([first, second])
        await one.withTransaction(async (nested) => {
          expect(one.currentTransaction).toBe(nested)
          expect(two.currentTransaction).toBe(second)
        })
        expect(one.currentTransaction).toBe(first)
      })
      expect([one.currentTransaction, two.currentTransaction]).toEqual([first, undefined])
    })
  })
})
