import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { randomFrom } from '../support/random.js'
import { draw } from './operation.js'
import { text } from './report.js'
import { runStress } from './stress.js'

const database = useDatabase()

test('three thousand random operations keep every promise of the pool', async () => {
  const report = await runStress({ url: database.url, seed: 20_260_104, operations: 3_000 })
  console.info(text(report))
  expect(report.violations).toEqual([])
  expect(report.mostSessions).toBeGreaterThan(3)
  expect(Object.keys(report.kinds)).toHaveLength(10)
  expect(report.outcomes['done']).toBeGreaterThan(1_000)
}, 180_000)

test('the seed gives the same operations again', () => {
  const list = (seed: number): unknown[] => {
    const random = randomFrom(seed)
    return Array.from({ length: 500 }, () => draw(random))
  }
  expect(list(7)).toEqual(list(7))
  expect(list(7)).not.toEqual(list(8))
})
