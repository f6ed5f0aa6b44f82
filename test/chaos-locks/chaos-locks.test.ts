import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { chaosLocks } from './chaos-locks.js'
import type { Belief } from './contender.js'
import { mostAtOnce, overlaps, spread } from './overlaps.js'
import { violations } from './report.js'
import { setup } from './storm.js'

const database = useDatabase({ setup })

test('locks keep their promises while their holders are killed, stopped and cut off', async () => {
  const result = await chaosLocks({ url: database.url, seed: 20_260_103, seconds: 5, kills: 10 })
  expect(violations(result)).toEqual([])
  expect(Object.values(result.storm.faults).every((count) => count > 0)).toBe(true)
  expect(result.storm.writes['session']).toBeGreaterThan(0)
  expect(result.storm.writes['token']).toBeGreaterThan(0)
  expect(result.aborts.count).toBe(10)
  expect(result.election.handover.maxMs).toBeLessThan(10_000)
}, 120_000)

function belief(key: string, xid: number, from: number, until: number, wasStopped = false): Belief {
  return { key, xid: BigInt(xid), from, until, wasStopped }
}

test('the referee sees an overlap, on one key only, and who was stopped', () => {
  const beliefs = [belief('a', 2, 8, 20), belief('a', 1, 0, 10, true), belief('b', 3, 0, 50), belief('a', 4, 20, 30)]
  expect(overlaps(beliefs)).toEqual([{ ms: 2, wasStopped: true }])
  expect(mostAtOnce(beliefs)).toBe(3)
  expect(mostAtOnce([belief('a', 1, 0, 10), belief('a', 2, 10, 20)])).toBe(1)
  expect(spread([3, 1, 9])).toEqual({ count: 3, medianMs: 3, maxMs: 9 })
})
