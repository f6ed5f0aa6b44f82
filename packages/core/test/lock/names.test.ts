import { expect, test } from 'vitest'
import { LockNames, longestName } from '../../src/lock/grants.js'
import { serverKeys } from '../../src/sql/lock-key.js'

test('remembers the names that were used last, and gives them back as they were', () => {
  const names = new LockNames()
  for (let i = 0; i < 10_000; i++) names.remember(String(i), `name ${i}`)
  names.remember('0', 'name 0')
  names.remember('new', 'a lone surrogate \ud800, and more \u{1f600}')
  expect(names.nameOf('0')).toBe('name 0')
  expect(names.nameOf('1')).toBeUndefined()
  expect(names.nameOf('2')).toBe('name 2')
  expect(names.nameOf('new')).toBe('a lone surrogate \ud800, and more \u{1f600}')
})

test('a million names, and long ones, take no more than a few megabytes', () => {
  const names = new LockNames()
  const kept = (): number => {
    let characters = 0
    for (let i = 0; i < 1_000_000; i++) characters += names.nameOf(String(i))?.length ?? 0
    return characters
  }
  for (let i = 0; i < 1_000_000; i++) names.remember(String(i), `the name of number ${i}`)
  expect(names.nameOf('989999')).toBeUndefined()
  expect(names.nameOf('990000')).toBe('the name of number 990000')
  expect(kept()).toBeLessThan(1_000_000)
  for (let i = 0; i < 10_000; i++) names.remember(String(i), 'x'.repeat(longestName))
  expect(kept()).toBeLessThanOrEqual(1_000_000)
  names.remember('long', 'x'.repeat(longestName + 1))
  expect(names.nameOf('long')).toBeUndefined()
})

test('a name of megabytes is a lock, and is cut short where people read it', () => {
  const [key] = serverKeys('x'.repeat(5_000_000), undefined)
  expect(key?.label.length).toBeLessThan(150)
  expect(key?.label).toMatch(/^"x+…" \(5000000 characters\)$/)
  expect(serverKeys('y'.repeat(100), undefined)[0]?.label).toBe(`"${'y'.repeat(100)}"`)
})
