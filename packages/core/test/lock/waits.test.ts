import fc from 'fast-check'
import { expect, test } from 'vitest'
import { circleOf, type LockWait, LockWaits } from '../../src/lock/deadlock-detector.js'

function wait(waitsFor: string, ...holds: string[]): LockWait {
  return { waitsFor, holds: new Set(holds), id: '' }
}

test('two that wait for what the other one holds are a circle, seen from both', () => {
  const waits = new LockWaits()
  const [a, b] = [wait('q', 'p'), wait('p', 'q')]
  waits.add(a)
  expect(circleOf(a, waits.all)).toBeUndefined()
  waits.add(b)
  expect(circleOf(a, waits.all)).toEqual([a, b])
  expect(circleOf(b, waits.all)).toEqual([b, a])
  waits.delete(a)
  expect(circleOf(b, waits.all)).toBeUndefined()
})

test('waits of other processes count, and a way that leads elsewhere is no circle', () => {
  const waits = new LockWaits()
  const mine = wait('b', 'a')
  waits.add(mine)
  expect(circleOf(mine, [mine, wait('c', 'b'), wait('d', 'c')])).toBeUndefined()
  expect(circleOf(mine, [mine, wait('c', 'b'), wait('a', 'c')])).toHaveLength(3)
})

test('finds a circle if and only if one key is reachable from itself, whatever the graph', () => {
  const key = fc.integer({ min: 0, max: 6 }).map(String)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.uniqueArray(key, { maxLength: 3 })), { minLength: 1, maxLength: 8 }),
      (list) => {
        const waits = new LockWaits()
        const all = list.map(([waitsFor, holds]) => wait(waitsFor, ...holds.filter((held) => held !== waitsFor)))
        for (const one of all) waits.add(one)
        for (const start of all) {
          const reached = new Set<LockWait>()
          const open = all.filter(({ holds }) => holds.has(start.waitsFor))
          for (let next = open.pop(); next !== undefined; next = open.pop()) {
            if (reached.has(next)) continue
            reached.add(next)
            const from = next
            open.push(...all.filter(({ holds }) => holds.has(from.waitsFor)))
          }
          expect(circleOf(start, waits.all) !== undefined).toBe(reached.has(start))
        }
      },
    ),
  )
})
