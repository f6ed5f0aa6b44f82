import { startFaultProxy } from '@pg-lifeguard/testing'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { type LockHandle, PoolClosedError } from '../../src/index.js'
import { watchLocks } from '../support/lock-watch.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
watchLocks(database)

/** Leads until it is told that it does no more. */
const untilTold = ({ signal }: LockHandle): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())))

describe('an election ends with its pool', () => {
  test.each(['graceful', 'fast'] as const)(
    '%s: leader and candidate are told, and nothing is reported',
    async (mode) => {
      const [pool, other] = [testPool(database.url), testPool(database.url)]
      const errors: unknown[] = []
      const onError = (error: unknown): void => void errors.push(error)
      let terms = 0
      const lead = async (term: LockHandle): Promise<void> => {
        terms += 1
        await untilTold(term)
      }
      const leader = pool.elect('scheduler', lead, { onError })
      await eventually('it leads', () => leader.isLeader)
      const candidate = other.elect('scheduler', lead, { onError })
      await eventually('the other one waits', async () => (await pool.listLocks()).length === 2)
      await other.end({ mode })
      await candidate.stop()
      expect(terms).toBe(1)
      await pool.end({ mode })
      expect(leader.isLeader).toBe(false)
      await leader.stop()
      expect(errors).toEqual([])
    },
  )

  test('what the leader has begun it may finish, with the pool and its lock', async () => {
    const pool = testPool(database.url)
    const errors: unknown[] = []
    let found: unknown
    const candidacy = pool.elect(
      'scheduler',
      async (term) => {
        await untilTold(term)
        await pool.withTransaction((tx) => tx.query('insert into item values (1)'))
        found = (await pool.query('select id from item')).rows
      },
      { onError: (error) => errors.push(error) },
    )
    await eventually('it leads', () => candidacy.isLeader)
    await pool.end()
    expect(found).toEqual([{ id: 1 }])
    expect(errors).toEqual([])
  })

  test('a leader that does not listen is waited for no longer than other work', async () => {
    const pool = testPool(database.url)
    const errors: unknown[] = []
    const done = Promise.withResolvers<void>()
    const candidacy = pool.elect('scheduler', () => done.promise, { onError: (error) => errors.push(error) })
    await eventually('it leads', () => candidacy.isLeader)
    await pool.end({ timeoutMs: 50 })
    expect(candidacy.isLeader).toBe(false)
    done.resolve()
    await candidacy.stop()
    expect(errors).toEqual([])
  })

  test('an error of the leader itself is reported still', async () => {
    const pool = testPool(database.url)
    const errors: unknown[] = []
    const own = new TypeError('mine')
    const candidacy = pool.elect(
      'scheduler',
      async (term) => {
        await untilTold(term)
        throw own
      },
      { onError: (error) => errors.push(error) },
    )
    await eventually('it leads', () => candidacy.isLeader)
    await pool.end()
    await candidacy.stop()
    expect(errors).toEqual([own])
  })

  test('a leader that ends the pool itself does not wait for its own end', async () => {
    const pool = testPool(database.url)
    const errors: unknown[] = []
    let ended = false
    const candidacy = pool.elect(
      'scheduler',
      async () => {
        // Without a bound: were it to wait for itself, it would do so for ever.
        await pool.withDeadline(() => pool.end({ timeoutMs: Number.POSITIVE_INFINITY }), { timeoutMs: 60_000 })
        ended = true
      },
      { onError: (error) => errors.push(error) },
    )
    await eventually('the pool has ended', () => ended)
    await candidacy.stop()
    expect(errors).toEqual([])
  })

  test('stop() during the end settles, and elect() after it is refused', async () => {
    const pool = testPool(database.url)
    const candidacy = pool.elect('scheduler', untilTold, { onError: () => undefined })
    await eventually('it leads', () => candidacy.isLeader)
    const ended = pool.end()
    expect(() => pool.elect('scheduler', untilTold)).toThrow(PoolClosedError)
    await candidacy.stop()
    await ended
    expect(() => pool.elect('scheduler', untilTold)).toThrow(PoolClosedError)
  })
})

describe('a candidate that is stopped while the server does not answer is told of nothing', () => {
  test('as it waits', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const [pool, other] = [testPool(database.url), testPool(proxy.url)]
    const errors: unknown[] = []
    const leader = pool.elect('silent', untilTold, { onError: (error) => errors.push(error) })
    await eventually('it leads', () => leader.isLeader)
    const candidate = other.elect('silent', untilTold, { onError: (error) => errors.push(error) })
    await eventually('the other one waits', async () => (await pool.listLocks()).length === 2)
    await proxy.stall()
    await candidate.stop()
    expect(errors).toEqual([])
    await proxy.resume()
    await leader.stop()
  })

  test('as it begins to stand', async () => {
    await using proxy = await startFaultProxy({ target: database.url })
    const pool = testPool(proxy.url, { validateAfterIdleMs: Number.POSITIVE_INFINITY })
    await pool.withLock('any', async () => undefined)
    const errors: unknown[] = []
    await proxy.stall()
    const candidate = pool.elect('new', untilTold, { onError: (error) => errors.push(error) })
    await eventually('it asks for the lock', () => pool.active().some(({ statements }) => statements > 0))
    await candidate.stop()
    expect(errors).toEqual([])
    await proxy.resume()
  })
})

describe('an election leaves the context that it was made in', () => {
  test('of a transaction, a lock and a deadline', async () => {
    const pool = testPool(database.url, { max: 8 })
    const seen = Promise.withResolvers<unknown>()
    const errors: unknown[] = []
    let candidacy: AsyncDisposable | undefined
    const undone = pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      await pool.withLock('around', async () => {
        await pool.withDeadline(
          async () => {
            candidacy = pool.elect(
              'context',
              async ({ signal }) => {
                // Both are over, and neither the deadline nor the transaction is the leader's.
                await rejection(undone)
                await pool.query('insert into item values (2)')
                // Held no more, and not taken for held.
                await pool.withLock('around', async () => undefined)
                seen.resolve(signal.aborted)
              },
              { onError: (error) => errors.push(error) },
            )
          },
          { timeoutMs: 200 },
        )
      })
      throw new Error('undone')
    })
    expect((await rejection(undone)).message).toBe('undone')
    expect(await seen.promise).toBe(false)
    expect(errors).toEqual([])
    await candidacy?.[Symbol.asyncDispose]()
    expect((await pool.query('select id from item where id = 2')).rows).toHaveLength(1)
  })

  test('of reads and of a causal scope', async () => {
    const pool = testPool(database.url)
    const led = Promise.withResolvers<unknown>()
    const errors: unknown[] = []
    let candidacy: AsyncDisposable | undefined
    await pool.read(async () => {
      await pool.withCausality(undefined, async () => {
        candidacy = pool.elect('reads', async () => led.resolve((await pool.query('select 3 as n')).rows), {
          onError: (error) => errors.push(error),
        })
      })
    })
    expect(await led.promise).toEqual([{ n: 3 }])
    await candidacy?.[Symbol.asyncDispose]()
    expect(errors).toEqual([])
  })
})
