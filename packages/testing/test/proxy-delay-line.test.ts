import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DelayLine, type Parcel, type Shape } from '../src/proxy/delay-line.js'
import { seededRandom } from '../src/proxy/seeded-random.js'

const unlimited: Shape = { roundTripMs: 0, jitterMs: 0, bandwidthBytesPerSecond: Infinity }

function lineWith(shape: Partial<Shape>, seed = 1) {
  const clock = { at: 0 }
  const line = new DelayLine({ ...unlimited, ...shape }, { now: () => clock.at, random: seededRandom(seed) })
  /** Turns the clock to each due time and notes what comes out when. */
  const drain = (): { at: number; parcel: Parcel }[] => {
    const out: { at: number; parcel: Parcel }[] = []
    for (let due = line.nextDueAt; due !== undefined; due = line.nextDueAt) {
      clock.at = Math.max(clock.at, due)
      for (let parcel = line.take(); parcel !== undefined; parcel = line.take()) out.push({ at: clock.at, parcel })
    }
    return out
  }
  return { clock, line, drain }
}

describe('the delay line', () => {
  test('gives each parcel half of the round trip from its own arrival, so pipelined ones are not serialised', () => {
    const { clock, line, drain } = lineWith({ roundTripMs: 3 })
    for (const at of [0, 0.25, 1]) {
      clock.at = at
      line.push(Buffer.from([at * 4]))
    }
    expect(line.take()).toBeUndefined()
    expect(drain().map(({ at }) => at)).toEqual([1.5, 1.75, 2.5])
  })

  test('keeps the order and the bounds under jitter and changes at run time', () => {
    const step = fc.record({ wait: fc.nat(20), roundTripMs: fc.nat(30), jitterMs: fc.nat(30) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(), (steps, seed) => {
        const { clock, line, drain } = lineWith({}, seed)
        let latest = 0
        const sent = steps.map(({ wait, roundTripMs, jitterMs }, index) => {
          clock.at += wait
          line.setShape({ ...unlimited, roundTripMs, jitterMs })
          line.push(Buffer.from([index]))
          latest = Math.max(latest, clock.at + (roundTripMs + jitterMs) / 2)
          return { least: clock.at + roundTripMs / 2, most: latest }
        })
        const out = drain()
        expect(out.map(({ parcel }) => parcel[0])).toEqual(steps.map((_, index) => index))
        for (const [index, { at }] of out.entries()) {
          // Draining starts when the last one was sent.
          expect(at).toBeGreaterThanOrEqual(sent[index]?.least ?? Infinity)
          expect(at).toBeLessThanOrEqual(Math.max(clock.at, sent[index]?.most ?? 0))
        }
      }),
    )
  })

  test('gives the same jitter for the same seed', () => {
    const times = (seed: number): number[] => {
      const { line, drain } = lineWith({ jitterMs: 10 }, seed)
      for (let index = 0; index < 20; index++) line.push(Buffer.from([index]))
      return drain().map(({ at }) => at)
    }
    expect(times(7)).toEqual(times(7))
    expect(times(7)).not.toEqual(times(8))
  })

  test('lets bytes trickle at the bandwidth, none lost', () => {
    const { line, drain } = lineWith({ bandwidthBytesPerSecond: 100_000 })
    const sent = Buffer.from(Array.from({ length: 50_000 }, (_, index) => index % 251))
    line.push(sent)
    line.push('fin')
    const out = drain()
    expect(out.at(-1)).toEqual({ at: expect.closeTo(500, 3), parcel: 'fin' })
    const half = out.filter(({ at }) => at <= 250).map(({ parcel }) => (typeof parcel === 'string' ? 0 : parcel.length))
    expect(half.reduce((sum, bytes) => sum + bytes, 0)).toBeCloseTo(25_000, -3)
    const all = out.flatMap(({ parcel }) => (typeof parcel === 'string' ? [] : [parcel]))
    expect(Buffer.concat(all).equals(sent)).toBe(true)
  })

  test('is clear only when nothing can be overtaken, and says when the sender should wait', () => {
    const { line } = lineWith({ roundTripMs: 2 })
    expect(line.clear).toBe(false)
    line.push(Buffer.alloc(1))
    line.setShape(unlimited)
    expect(line.clear).toBe(false)
    expect(line.full).toBe(false)
    line.push(Buffer.alloc(16 * 1024 * 1024))
    expect(line.full).toBe(true)
    expect(line.takeAll()).toHaveLength(2)
    expect(line.clear).toBe(true)
  })

  test('gives back first, and at once, what was put back', () => {
    const { clock, line } = lineWith({ roundTripMs: 2 })
    line.push(Buffer.from('ab'))
    line.push(Buffer.from('c'))
    clock.at = 1
    expect(line.take()?.toString()).toBe('ab')
    line.putBack(Buffer.from('b'))
    expect([line.take()?.toString(), line.take()?.toString(), line.take()]).toEqual(['b', 'c', undefined])
  })
})
