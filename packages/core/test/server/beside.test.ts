import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { adapterPool } from '../../src/adapter.js'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { Beside, mostBeside } from '../../src/server/beside.js'
import { FakeClock } from '../support/fake-clock.js'
import { watchSessions } from '../support/sessions-named.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()
const sessions = watchSessions(database)

describe('sessions beside the pool', () => {
  test('are counted: that of listen, however many subscriptions there are', async () => {
    const pool = testPool(database.url, { name: 'listens', max: 2 })
    expect(pool.stats().beside).toEqual({ listen: 0, locks: 0, health: 0, terminate: 0, watch: 0, total: 0 })
    const subscriptions = await Promise.all(['a', 'b', 'c'].map((channel) => pool.listen(channel, () => undefined)))
    expect(pool.stats()).toMatchObject({ pool: { total: 0 }, beside: { listen: 1, total: 1 } })
    const held = await Promise.all([pool.acquire(), pool.acquire()])
    expect(await sessions.count('listens')).toBe(3)
    expect(pool.stats()).toMatchObject({ pool: { total: 2, max: 2 }, beside: { total: 1 } })
    for (const one of held) one.release()
    await Promise.all(subscriptions.map((one) => one.unlisten()))
    await eventually('it is gone', () => pool.stats().beside.total === 0)
    expect(await sessions.count('listens')).toBe(2)
  })

  test('that of listen stays one when it is lost, and while it is begun anew', async () => {
    const pool = testPool(database.url, { name: 'relistens', max: 1 })
    await using _ = await pool.listen('a', () => undefined)
    for (let n = 0; n < 3; n += 1) {
      const { rows } = await sessions.admin.query<{ pid: number }>(
        "select pid from pg_stat_activity where application_name = 'relistens'",
      )
      await sessions.admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
      await eventually('another one listens', async () => {
        const { beside } = pool.stats()
        expect(beside.listen).toBeLessThanOrEqual(1)
        const now = await sessions.admin.query<{ pid: number }>(
          "select pid from pg_stat_activity where application_name = 'relistens' and query ilike 'listen%'",
        )
        return now.rows[0] !== undefined && now.rows[0].pid !== rows[0]?.pid
      })
    }
  })

  test('are never more than their bounds, whatever is asked at once; the pool is never above max', async () => {
    const pool = testPool(database.url, { name: 'full', max: 2, acquireTimeoutMs: 10_000 })
    await using _ = await pool.listen('a', () => undefined)
    const held = await Promise.all([pool.acquire(), pool.acquire()])
    const nobody = 2_000_000_000
    const terminate = () => Promise.all(Array.from({ length: 20 }, () => adapterPool(pool).terminateSession(nobody)))
    const most = await sessions.mostDuring('full', terminate, () => {
      const {
        pool: { total },
        beside,
      } = pool.stats()
      expect(total).toBeLessThanOrEqual(2)
      for (const [use, bound] of Object.entries(mostBeside)) {
        expect(beside[use as keyof typeof mostBeside], use).toBeLessThanOrEqual(bound)
      }
    })
    expect(most).toBeLessThanOrEqual(2 + mostBeside.listen + mostBeside.terminate)
    await eventually('the last one is closed', () => pool.stats().beside.total === 1)
    expect(pool.stats().beside.listen).toBe(1)
    for (const one of held) one.release()
  })
})

describe('the places beside a pool', () => {
  const clock = new FakeClock()
  const owner = { clock, random: () => 0.5 }

  test('go to the next in the line, in the order of their coming', async () => {
    const beside = new Beside()
    const order: number[] = []
    for (let n = 0; n < mostBeside.health; n += 1) await beside.acquire('health', noDeadline, owner)
    const waiting = [1, 2].map((n) => beside.acquire('health', noDeadline, owner).then(() => order.push(n)))
    await beside.acquire('listen', noDeadline, owner)
    beside.release('health')
    await waiting[0]
    expect(order).toEqual([1])
    beside.release('health')
    await waiting[1]
    expect(beside.now).toEqual({ listen: 1, locks: 0, health: mostBeside.health, terminate: 0 })
    for (let n = 0; n < mostBeside.health; n += 1) beside.release('health')
    expect(beside.now.health).toBe(0)
  })

  test('are not waited for longer than one may', async () => {
    const beside = new Beside()
    await beside.acquire('listen', noDeadline, owner)
    const abort = new AbortController()
    const deadline = Deadline.ofSignal(abort.signal)
    const refused = rejection(beside.acquire('listen', deadline, owner))
    abort.abort()
    expect(await refused).toMatchObject({ code: 'LIFEGUARD_ABORTED', outcome: 'not-sent' })
    beside.release('listen')
    expect(beside.now.listen).toBe(0)
    await beside.acquire('listen', noDeadline, owner)
    expect(beside.now.listen).toBe(1)
  })
})
