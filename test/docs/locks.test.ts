import { advisoryLockKey } from '@pg-lifeguard/core'
import { expect, test } from 'vitest'
import { read } from '../support/workspace.js'

test('the keys in docs/locks.md are those of the code', () => {
  const rows = [...read('docs/locks.md').matchAll(/^\| `([^`]+)` *\| `([^`]+)` *\| `(-?\d+)` *\|$/gm)]
  expect(rows.length).toBeGreaterThanOrEqual(5)
  for (const [, namespace, name = '', key] of rows) {
    expect(String(advisoryLockKey(name, namespace)), name).toBe(key)
  }
})
