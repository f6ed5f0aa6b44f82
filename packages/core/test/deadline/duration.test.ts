import { expect, test } from 'vitest'
import { millisecondsOf } from '../../src/deadline/duration.js'
import { nearestName } from '../../src/errors/known-options.js'

test.each<[string, number | undefined]>([
  ['500ms', 500],
  ['0s', 0],
  ['1.5s', 1_500],
  ['15m', 900_000],
  ['1h', 3_600_000],
  ['15', undefined],
  ['15min', undefined],
  ['-1s', undefined],
  ['+1s', undefined],
  ['1e3s', undefined],
  ['1 s', undefined],
  ['.5s', undefined],
  ['', undefined],
])('%j is %j milliseconds', (text, ms) => expect(millisecondsOf(text)).toBe(ms))

test.each<[string, string | undefined]>([
  ['maxConnections', 'max'],
  ['idleTimeout', 'idleTimeoutMs'],
  ['idle_timeout_ms', 'idleTimeoutMs'],
  ['adleTimeoutMs', 'idleTimeoutMs'],
  ['sslmod', 'sslmode'],
  ['zebra', undefined],
  ['m', undefined],
])('%s is nearest to %s', (given, expected) => {
  expect(nearestName(given, ['max', 'min', 'idleTimeoutMs', 'ssl', 'sslmode'])).toBe(expected)
})
