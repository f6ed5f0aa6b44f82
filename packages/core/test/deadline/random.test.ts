import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jitter } from '../../src/deadline/clock.js'
import { seeded } from '../support/seeded.js'

test('jitter stays within its share on both sides', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (ms, share, random) => {
        const spread = jitter(ms, share, () => random)
        expect(spread).toBeGreaterThanOrEqual(ms * (1 - share) - 1e-6 * ms)
        expect(spread).toBeLessThanOrEqual(ms * (1 + share) + 1e-6 * ms)
      },
    ),
    seeded(300),
  )
})

test('jitter reaches from one end to the other, with the duration itself in the middle', () => {
  expect([0, 0.5, 1].map((random) => jitter(1_000, 0.1, () => random))).toEqual([900, 1_000, 1_100])
})
