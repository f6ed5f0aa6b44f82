import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isFreshEnough, ReplicationLagTracker } from '../../src/cluster/replica-lag.js'
import { seeded } from '../support/seeded.js'

describe('how old a replica is', () => {
  test('nothing is known before the primary was seen, nor of what is older than that', () => {
    const trail = new ReplicationLagTracker()
    expect(trail.lagMs(100n, 0)).toBe(Number.POSITIVE_INFINITY)
    expect(trail.lagBytes(100n)).toBeUndefined()
    trail.add(0, 200n)
    expect(trail.lagMs(199n, 0)).toBe(Number.POSITIVE_INFINITY)
    expect(trail.lagBytes(199n)).toBe(1n)
  })

  test('on an idle primary it is as fresh as the last look, however long ago the last transaction was', () => {
    const trail = new ReplicationLagTracker()
    for (let now = 0; now <= 100_000; now += 100) trail.add(now, 500n)
    expect(trail.lagMs(500n, 100_050)).toBe(50)
  })

  test('it grows on a replica that stands still while the primary goes on', () => {
    const trail = new ReplicationLagTracker()
    for (let now = 0; now <= 10_000; now += 100) trail.add(now, BigInt(1_000 + now))
    expect(trail.lagMs(3_050n, 10_000)).toBe(8_000)
    expect(isFreshEnough(trail, 3_050n, { maxLagMs: 7_999, maxLagBytes: undefined }, 10_000)).toBe(false)
    expect(isFreshEnough(trail, 3_050n, { maxLagMs: 8_000, maxLagBytes: undefined }, 10_000)).toBe(true)
    expect(isFreshEnough(trail, 3_050n, { maxLagMs: 0, maxLagBytes: 7_950 }, 10_000)).toBe(true)
    expect(isFreshEnough(trail, 3_050n, { maxLagMs: 0, maxLagBytes: 7_949 }, 10_000)).toBe(false)
  })

  test('while the primary is out of reach time stands still, and goes on when it is seen', () => {
    const trail = new ReplicationLagTracker()
    trail.add(1_000, 10n)
    trail.add(2_000, 20n)
    trail.freeze()
    expect(trail.isFrozen).toBe(true)
    expect([trail.lagMs(20n, 60_000), trail.lagMs(10n, 60_000)]).toEqual([0, 1_000])
    trail.add(61_000, 30n)
    expect([trail.isFrozen, trail.lagMs(20n, 61_000)]).toEqual([false, 59_000])
    trail.restart()
    expect(trail.lagMs(30n, 61_000)).toBe(Number.POSITIVE_INFINITY)
  })

  test('it is never less than the truth: what was committed before that time is replayed', () => {
    const step = fc.record({ after: fc.integer({ min: 1, max: 500 }), bytes: fc.nat(1_000), look: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 300 }), fc.nat(100_000), (steps, replayed) => {
        const trail = new ReplicationLagTracker()
        const history: { readonly at: number; readonly lsn: bigint }[] = []
        let now = 0
        let lsn = 0n
        for (const { after, bytes, look } of steps) {
          now += after
          lsn += BigInt(bytes)
          history.push({ at: now, lsn })
          if (look) trail.add(now, lsn)
        }
        const lag = trail.lagMs(BigInt(replayed), now)
        if (lag === Number.POSITIVE_INFINITY) return
        for (const commit of history)
          if (commit.at <= now - lag) expect(commit.lsn).toBeLessThanOrEqual(BigInt(replayed))
      }),
      seeded(500),
    )
  })
})
