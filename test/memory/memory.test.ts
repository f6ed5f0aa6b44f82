import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { measure } from './measure.js'

const database = useDatabase()
/** Node alone has 50 to 90 MB. */
const mostBytes = 200_000_000
/** Rows are garbage as soon as they are read: V8 lets its heap grow to some 150 MB before it collects the 10 that live. */
const mostBytesOfRows = 260_000_000

test.each([
  { what: 'stream', amount: 300_000, valueBytes: 1, isSlow: false },
  { what: 'stream', amount: 300_000, valueBytes: 1, isSlow: true },
  { what: 'stream', amount: 300, valueBytes: 1_000_000, isSlow: false },
  { what: 'stream', amount: 300, valueBytes: 1_000_000, isSlow: true },
  { what: 'copy-out', amount: 400, valueBytes: 100_000_000, isSlow: false },
  { what: 'copy-out', amount: 100, valueBytes: 50_000_000, isSlow: true },
  { what: 'copy-in', amount: 200, valueBytes: 100_000_000, isSlow: false },
] as const)('$what of $amount in values of $valueBytes bytes, slowly: $isSlow', { timeout: 120_000 }, async (order) => {
  const { amount, peakBytes } = await measure({ ...order, url: database.url })
  expect(amount).toBeGreaterThanOrEqual(order.amount)
  expect(peakBytes).toBeLessThan(order.what === 'stream' ? mostBytesOfRows : mostBytes)
})
