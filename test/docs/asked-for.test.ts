import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { read } from '../support/workspace.js'

const page = read('docs/asked-for.md')
const lines = page.split('\n').filter((line) => /^\| \d/.test(line))
const root = new URL('../../', import.meta.url)

test('every line of what users ask for has an answer and a proof', () => {
  expect(lines.map((line) => Number(line.split('|')[1]))).toEqual(Array.from({ length: 21 }, (_, n) => n + 1))
  for (const line of lines) {
    const [, , asked, answer, proof] = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
    expect([asked, answer, proof].every((cell) => cell !== undefined && cell.length > 20)).toBe(true)
  }
})

test('the tests that are named as proof are there', () => {
  const proofs = [...page.matchAll(/`((?:packages|test)\/[\w./-]+\.test\.ts)`: "([^"]+)"/g)]
  expect(proofs.length).toBe(lines.length)
  const missing = proofs.filter(([, file = '', title = '']) => {
    if (!existsSync(fileURLToPath(new URL(file, root)))) return true
    return !read(file).includes(title)
  })
  expect(missing.map(([proof]) => proof)).toEqual([])
})
