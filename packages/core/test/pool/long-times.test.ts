import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { beforeEach, describe, expect, test } from 'vitest'
import { InvalidArgumentError, type OperationOptions, type Pool } from '../../src/index.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int, version int); insert into entry values (1, 1)' })

/** Longer than a timer of Node can be, which would fire after a millisecond; what is done meanwhile takes longer. */
const long = [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]
const slow = 'select pg_sleep(0.03)'

let pool: Pool
beforeEach(() => {
  pool = testPool(database.url, { max: 3 })
})
const sleep = async (): Promise<string> => {
  await pool.query(slow)
  return 'done'
}

const operations: Readonly<Record<string, (limits: OperationOptions) => Promise<unknown>>> = {
  query: (limits) => pool.query(slow, [], limits),
  batch: (limits) => pool.batch([{ text: slow }], limits),
  batchTogether: (limits) => pool.batchTogether([() => pool.query(slow)], limits),
  stream: async (limits) => {
    for await (const _ of pool.stream(slow, [], limits));
  },
  copyTo: async (limits) => {
    for await (const _ of pool.copyTo({ text: slow }, limits));
  },
  copyFrom: (limits) => pool.copyFrom({ table: 'entry' }, [[2, 2]], limits),
  notify: (limits) => pool.notify('news', 'x', limits),
  listen: async (limits) => await (await pool.listen('news', () => undefined, limits)).unlisten(),
  acquire: async (limits) => {
    await using connection = await pool.acquire(limits)
    await connection.query(slow, [], limits)
  },
  withTransaction: (limits) => pool.withTransaction((tx) => tx.query(slow), limits),
  beginTransaction: async (limits) => {
    const tx = await pool.beginTransaction(limits)
    await tx.query(slow)
    await tx.commit()
  },
  withLock: (limits) => pool.withLock('k', sleep, limits),
  'withLock in a transaction': (limits) => pool.withLock('k', sleep, { ...limits, scope: 'transaction' }),
  tryWithLock: (limits) => pool.tryWithLock('k', sleep, limits),
  withSemaphore: (limits) => pool.withSemaphore('k', 2, sleep, limits),
  withMigrationLock: (limits) => pool.withMigrationLock(sleep, limits),
  withOptimisticRetry: (limits) => pool.withOptimisticRetry(sleep, limits),
  withDeadline: ({ timeoutMs = 0 }) => pool.withDeadline(sleep, { timeoutMs }),
  fanOut: (limits) => pool.fanOut({ sleep }, limits),
  forEachConcurrent: (limits) => pool.forEachConcurrent([1, 2], sleep, limits),
  withFallback: ({ timeoutMs = 0 }) =>
    pool.withFallback('k', sleep, { cache: new Map(), ttlMs: timeoutMs, staleIfErrorMs: timeoutMs }),
  updateVersioned: async (limits) => {
    const { rows } = await pool.query<{ version: number }>('select version from entry where id = 1')
    await pool.updateVersioned('entry', { id: 1, version: rows[0]?.version }, { id: 1 }, limits)
  },
  locks: (limits) => pool.listLocks(limits),
  health: (limits) => pool.health(limits),
  flush: async (limits) => {
    const asked = sleep()
    await pool.evict('graceful', limits)
    await asked
  },
  pause: async (limits) => {
    const asked = sleep()
    await pool.pause(limits)
    pool.resume()
    await asked
  },
}

describe('a time above 2^31 ms does not end early what takes longer than no time', () => {
  test.each(Object.entries(operations))('%s', async (_, run) => {
    for (const timeoutMs of long) await run({ timeoutMs })
    expect(pool.stats()).toMatchObject({
      pool: { active: 0 },
      waits: { refusals: { poolBusy: 0, serverUnavailable: 0, givenUp: 0 } },
    })
  })

  test('nor do those of the pool', async () => {
    for (const ms of long.slice(0, 4)) {
      const bounded = testPool(database.url, {
        max: 1,
        acquireTimeoutMs: ms,
        idleTimeoutMs: ms,
        maxLifetimeMs: ms,
        connectTimeoutMs: ms,
        validateAfterIdleMs: ms,
        leakDetectionMs: ms,
        slowQueryMs: ms,
        failoverTimeoutMs: ms,
        causalityWaitMs: ms,
        breaker: { openMs: ms, maxOpenMs: ms, windowMs: ms, slowAfterMs: ms },
        locks: { heartbeatMs: ms },
        listen: { heartbeatMs: ms },
      })
      const seen = await Promise.all([1, 2].map(() => bounded.query<{ pid: number }>('select pg_backend_pid() as pid')))
      await bounded.query(slow)
      const { rows } = await bounded.query<{ pid: number }>('select pg_backend_pid() as pid')
      expect(new Set([...seen.map((one) => one.rows[0]?.pid), rows[0]?.pid]).size).toBe(1)
      await bounded.withLock('k', async ({ signal }) => {
        await pool.query(slow)
        expect(signal.aborted).toBe(false)
      })
      await bounded.end({ timeoutMs: ms })
    }
  })

  test('those that the server keeps are refused above that', async () => {
    for (const ms of long.slice(1)) {
      for (const options of [{ statementTimeoutMs: ms }, { lockTimeoutMs: ms }, { idleTimeoutMs: ms }]) {
        await expect(pool.withTransaction(sleep, options)).rejects.toBeInstanceOf(InvalidArgumentError)
        await expect(pool.beginTransaction(options)).rejects.toBeInstanceOf(InvalidArgumentError)
      }
      await expect(pool.withLock('k', sleep, { waitMs: ms })).rejects.toBeInstanceOf(InvalidArgumentError)
    }
  })
})
