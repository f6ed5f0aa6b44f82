import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fullJitter } from '../../src/resilience/retry.js'
import { seeded } from '../support/seeded.js'

test('a pause is never below 0 nor above the smaller of cap and base * 2^(failures - 1)', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, baseMs, capMs, random) => {
        const pause = fullJitter(failures, { baseMs, capMs }, () => random)
        expect(pause).toBeGreaterThanOrEqual(0)
        expect(pause).toBeLessThanOrEqual(Math.min(capMs, baseMs * 2 ** (failures - 1)))
      },
    ),
    seeded(500),
  )
})

test('the first retry is nearly immediate, and the bound doubles up to the cap', () => {
  const almostOne = (): number => 1 - Number.EPSILON
  const bounds = [1, 2, 3, 4, 8, 9, 40].map((failures) => Math.round(fullJitter(failures, undefined, almostOne)))
  expect(bounds).toEqual([1, 2, 4, 8, 128, 256, 1_000])
})

test('it is spread over the whole range: jitter is full', () => {
  expect([0, 0.25, 0.5].map((random) => fullJitter(3, { baseMs: 100, capMs: 1_000 }, () => random))).toEqual([
    0, 100, 200,
  ])
})
