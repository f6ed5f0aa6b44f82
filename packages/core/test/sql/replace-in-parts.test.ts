import { describe, expect, test } from 'vitest'
import { endOfPart, replaceInParts } from '../../src/sql/tokens.js'

describe('replaceInParts', () => {
  test.each([0, 1, 65_535, 65_536, 65_537, 200_001])(
    'is as replace for a text with %i units ahead of a pair',
    (units) => {
      const text = `${'a\\'.repeat(units).slice(0, units)}\u{1f600}\\b\u{1f600}${'\\'.repeat(70_000)}`
      const codeOf = (found: string): string => `<${found.codePointAt(0)}>`
      for (const pattern of [/[\\\u0080-\u{10ffff}]/gu, /[A-Z\\]+/g, /x/g]) {
        const lengths = (found: string): string => `${found}${found}`
        expect(replaceInParts(text, pattern, lengths)).toBe(text.replace(pattern, lengths))
      }
      expect(replaceInParts(text, /[\\\u0080-\u{10ffff}]/gu, codeOf)).toBe(
        text.replace(/[\\\u0080-\u{10ffff}]/gu, codeOf),
      )
    },
  )

  test('tens of millions of matches do not end the process', { timeout: 120_000 }, () => {
    const replaced = replaceInParts('a\n'.repeat(45_000_000), /\n/g, () => ';')
    expect(replaced.length).toBe(90_000_000)
    expect(replaced.slice(-4)).toBe('a;a;')
  })
})

test('endOfPart goes on by two units at least, never between the halves of one character', () => {
  const text = 'a\u{1f600}\u{1f600}b'
  const ends: number[] = []
  for (let at = 0; at < text.length; ) {
    at = endOfPart(text, at, 2)
    ends.push(at)
  }
  expect(ends).toEqual([1, 3, 5, 6])
  // Half a pair that stands alone is no reason to stand still.
  expect(endOfPart('\ud83d\ud83dab', 0, 2)).toBe(1)
})
