import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Candidate, PeakEwma, pickOfTwo } from '../../src/cluster/load-balancer.js'
import { randomFrom, seeded } from '../support/seeded.js'

interface Named extends Candidate {
  readonly name: string
}

function host(name: string, rest: Partial<Candidate> = {}): Named {
  return { name, weight: 1, latencyMs: 1, inFlight: 0, ...rest }
}

/** How often each is picked out of a thousand times. */
function picks(hosts: readonly Named[], seed = 1): Record<string, number> {
  const random = randomFrom(seed)
  const counted: Record<string, number> = {}
  for (let n = 0; n < 1_000; n += 1) {
    const name = pickOfTwo(hosts, random)?.name ?? 'none'
    counted[name] = (counted[name] ?? 0) + 1
  }
  return counted
}

describe('the better of two', () => {
  test('nobody out of nobody, and the only one whatever it costs', () => {
    expect(picks([])).toEqual({ none: 1_000 })
    expect(picks([host('a', { latencyMs: 1e6, inFlight: 1e6 })])).toEqual({ a: 1_000 })
  })

  test('like hosts share the load, also when their latencies differ by noise', () => {
    const { a = 0, b = 0 } = picks([host('a', { latencyMs: 1 }), host('b', { latencyMs: 1.2 })])
    expect(Math.abs(a - b)).toBeLessThan(150)
  })

  test('weights divide the load of like hosts', () => {
    const { a = 0, b = 0 } = picks([host('a', { weight: 3 }), host('b')])
    expect(a / b).toBeGreaterThan(2.3)
    expect(a / b).toBeLessThan(3.9)
  })

  test('a host that is clearly slower, or has much more to do, gets nothing while another is there', () => {
    expect(picks([host('a'), host('b', { latencyMs: 20 })])).toEqual({ a: 1_000 })
    expect(picks([host('a'), host('b', { inFlight: 5 })])).toEqual({ a: 1_000 })
    // But it does once the quick one is loaded as much as it is slow.
    expect(picks([host('a', { inFlight: 60 }), host('b', { latencyMs: 20 })])).toEqual({ b: 1_000 })
  })

  test('whoever is picked was a candidate, and never the clearly dearest of three', () => {
    const candidate = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      weight: fc.double({ min: 0.1, max: 10, noNaN: true }),
      latencyMs: fc.double({ min: 0, max: 1_000, noNaN: true }),
      inFlight: fc.nat(50),
    })
    fc.assert(
      fc.property(fc.array(candidate, { minLength: 1, maxLength: 6 }), fc.integer(), (hosts, seed) => {
        const picked = pickOfTwo(hosts, randomFrom(seed))
        expect(hosts).toContain(picked)
        const cost = ({ latencyMs, inFlight, weight }: Candidate): number =>
          Math.max(latencyMs, 0.25) * (inFlight / weight + 1)
        const others = hosts.filter((one) => one !== picked)
        if (picked === undefined || others.length === 0) return
        expect(others.every((one) => cost(one) * 1.5 < cost(picked))).toBe(false)
      }),
      seeded(500),
    )
  })
})

describe('the average of latencies', () => {
  test('jumps to a peak, comes down with time, and is 0 at first', () => {
    const latency = new PeakEwma(500)
    expect(latency.value(0)).toBe(0)
    latency.observe(1, 0)
    latency.observe(40, 10)
    expect(latency.value(10)).toBe(40)
    expect(latency.value(510)).toBeCloseTo(20)
    expect(latency.value(1_010)).toBeCloseTo(10)
    latency.observe(2, 1_010)
    expect(latency.value(1_010)).toBeLessThan(40)
    expect(latency.value(1_010)).toBeGreaterThan(2)
  })

  test('stays between nothing and the highest latency that was seen', () => {
    const step = fc.record({ after: fc.nat(2_000), latencyMs: fc.double({ min: 0, max: 1e4, noNaN: true }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const latency = new PeakEwma(500)
        let now = 0
        let highest = 0
        for (const { after, latencyMs } of steps) {
          now += after
          highest = Math.max(highest, latencyMs)
          latency.observe(latencyMs, now)
          expect(latency.value(now)).toBeGreaterThanOrEqual(0)
          expect(latency.value(now)).toBeLessThanOrEqual(highest + 1e-9)
          expect(latency.value(now + 500)).toBeLessThanOrEqual(latency.value(now))
        }
      }),
      seeded(300),
    )
  })
})
