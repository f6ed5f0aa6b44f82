import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { endOfLastRecord, formatLsn, parseLsn } from '../../src/cluster/replica-lag.js'
import { seeded } from '../support/seeded.js'

describe('a place in the log', () => {
  test.each([
    ['0/0', 0n],
    ['0/16B3748', 23_803_720n],
    ['16/B374D848', 97_500_059_720n],
    ['FFFFFFFF/FFFFFFFF', 18_446_744_073_709_551_615n],
    ['1/0', 4_294_967_296n],
    ['0/a', 10n],
  ])('%s is %d', (text, lsn) => {
    expect(parseLsn(text)).toBe(lsn)
    expect(formatLsn(lsn)).toBe(text.toUpperCase())
  })

  test.each(['', '0', '0/', '/0', '0/0/0', 'G/0', '123456789/0', '-1/0', ' 0/0', '0/0\n'])('%j is none', (text) =>
    expect(parseLsn(text)).toBeUndefined(),
  )

  test('is compared as a number, beyond what a number of JavaScript can hold', () => {
    const place = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    fc.assert(
      fc.property(place, place, (one, other) => {
        expect(parseLsn(formatLsn(one))).toBe(one)
        const [first, second] = [parseLsn(formatLsn(one)) ?? 0n, parseLsn(formatLsn(other)) ?? 0n]
        expect(first < second).toBe(one < other)
      }),
      seeded(500),
    )
  })

  test('behind the header of a page, the last record ended with the page before', () => {
    expect(endOfLastRecord(3n * 8_192n + 24n)).toBe(3n * 8_192n)
    expect(endOfLastRecord(3n * 8_192n + 32n)).toBe(3n * 8_192n + 32n)
    expect(endOfLastRecord(3n * 8_192n)).toBe(3n * 8_192n)
  })
})
