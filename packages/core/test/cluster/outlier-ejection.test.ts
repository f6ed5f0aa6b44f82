import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { inUse, OutlierEjection } from '../../src/cluster/load-balancer.js'
import { seeded } from '../support/seeded.js'

describe('a host that fails', () => {
  test('is out after three failures in a row, for twice as long each time, until successes forgive', () => {
    const host = new OutlierEjection()
    host.failed(0)
    host.failed(0)
    host.succeeded(0)
    host.failed(0)
    host.failed(0)
    expect(host.isEjected(0)).toBe(false)
    expect(host.failed(0)).toBe(true)
    expect([host.isEjected(999), host.isEjected(1_000)]).toEqual([true, false])
    // On probation: one failure is enough.
    expect(host.failed(1_000)).toBe(true)
    expect([host.isEjected(2_999), host.isEjected(3_000)]).toEqual([true, false])
    host.succeeded(3_000)
    for (let n = 0; n < 3; n += 1) host.failed(3_000)
    expect([host.isEjected(4_999), host.isEjected(5_000)]).toEqual([true, false])
  })

  test('answers to calls from before its ejection change nothing', () => {
    const host = new OutlierEjection({ failures: 1 })
    host.failed(0)
    expect(host.failed(10)).toBe(false)
    host.succeeded(10)
    expect([host.isEjected(999), host.isEjected(1_000)]).toEqual([true, false])
  })

  test('is never out for longer than the cap, whatever happens, and always comes back by itself', () => {
    const event = fc.record({ after: fc.nat(3_000), failed: fc.boolean() })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const host = new OutlierEjection({ failures: 2, baseMs: 100, capMs: 1_000 })
        let now = 0
        for (const { after, failed } of events) {
          now += after
          if (failed) host.failed(now)
          else host.succeeded(now)
          expect(host.isEjected(now + 1_000)).toBe(false)
        }
      }),
      seeded(300),
    )
  })
})

test('all are used when all are out', () => {
  const out = new Set(['b'])
  const isOut = (name: string): boolean => out.has(name)
  expect(inUse(['a', 'b'], isOut)).toEqual({ hosts: ['a'], panic: false })
  out.add('a')
  expect(inUse(['a', 'b'], isOut)).toEqual({ hosts: ['a', 'b'], panic: true })
  expect(inUse([], isOut)).toEqual({ hosts: [], panic: false })
})
