import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { classify, isRetryableByDefault } from '../../src/errors/classify.js'
import { serverError } from '../support/server-error.js'

const from = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const page = from('../../../../docs/what-happened-to-my-transaction.md')
const table = page.slice(page.indexOf('<!-- classification -->'), page.indexOf('<!-- end of classification -->'))

/** The lines of the page's table: codes, class, and whether it is run again. */
const lines = table
  .split('\n')
  .filter((line) => /^\| (?!SQLSTATE)[0-9A-Z]{2}/.test(line))
  .map((line) => {
    const [, codes = '', kind = '', again = ''] = line.split('|').map((cell) => cell.trim())
    return { codes: codes.split(', '), kind: kind.replaceAll('`', ''), again }
  })

test('the table of classes in docs/what-happened-to-my-transaction.md says what classify() does', () => {
  expect(lines.length).toBeGreaterThan(8)
  for (const { codes, kind, again } of lines) {
    for (const code of codes) {
      // A class of codes stands for a code of it that nobody knows.
      const found = classify(serverError(code.length === 2 ? `${code}ZZZ` : code))
      expect(`${code} ${found}`).toBe(`${code} ${kind}`)
      expect(`${code} ${isRetryableByDefault(found) ? 'yes' : 'no'}`).toBe(`${code} ${again}`)
    }
  }
})

test('and has every code that classify() knows', () => {
  const known = [...from('../../src/errors/classify.ts').matchAll(/^ {2}'?([0-9A-Z]{5}|\d\d)'?: '/gm)].map(
    ([, code]) => code,
  )
  expect(known.length).toBeGreaterThan(15)
  const documented = lines.flatMap(({ codes }) => codes)
  expect(known.filter((code) => !documented.includes(code ?? ''))).toEqual([])
})
