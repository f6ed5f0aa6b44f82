import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Histogram, histogramBoundsMs } from '../../src/observe/histogram.js'
import { seeded } from '../support/seeded.js'

test('bounds are powers of two, from a sixteenth of a millisecond to a minute', () => {
  expect(histogramBoundsMs.slice(0, 6)).toEqual([0.0625, 0.125, 0.25, 0.5, 1, 2])
  expect(histogramBoundsMs.at(-1)).toBe(65_536)
})

test('every duration is counted in the first bucket whose bound it does not exceed', () => {
  const duration = fc.oneof(fc.double({ min: 0, max: 200_000, noNaN: true }), fc.constantFrom(...histogramBoundsMs))
  fc.assert(
    fc.property(fc.array(duration, { minLength: 1, maxLength: 50 }), (durations) => {
      const histogram = new Histogram()
      for (const ms of durations) histogram.record(ms)
      const expected = new Array<number>(histogramBoundsMs.length + 1).fill(0)
      for (const ms of durations) {
        const at = histogramBoundsMs.findIndex((bound) => ms <= bound)
        const bucket = at === -1 ? histogramBoundsMs.length : at
        expected[bucket] = (expected[bucket] ?? 0) + 1
      }
      const { counts, count, sumMs } = histogram.snapshot()
      expect(counts).toEqual(expected)
      expect(count).toBe(durations.length)
      expect(sumMs).toBeCloseTo(
        durations.reduce((sum, ms) => sum + ms, 0),
        3,
      )
    }),
    seeded(500),
  )
})

test('a snapshot stays as it was', () => {
  const histogram = new Histogram()
  histogram.record(0)
  const before = histogram.snapshot()
  histogram.record(Number.POSITIVE_INFINITY)
  expect(before.count).toBe(1)
  expect(histogram.snapshot().counts.at(-1)).toBe(1)
})
