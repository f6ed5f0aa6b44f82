import { expect, test } from 'vitest'
import { RateLimit } from '../../src/server/server.js'

test('so many at once, then as fast as they come back, and never more', () => {
  const limit = new RateLimit(3, 3 / 5_000)
  const takenAt = (now: number): number =>
    Array.from({ length: 10 }, () => limit.tryAcquire(now)).filter(Boolean).length
  expect(takenAt(0)).toBe(3)
  expect(takenAt(1_000)).toBe(0)
  expect(takenAt(1_700)).toBe(1)
  expect(takenAt(1_000_000)).toBe(3)
})
