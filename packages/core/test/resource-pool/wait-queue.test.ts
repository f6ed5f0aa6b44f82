import { expect, test } from 'vitest'
import { type Waiter, WaiterList, type WorkContext } from '../../src/resource-pool/wait-queue.js'

function waiter(holder?: WorkContext): Waiter<string> {
  const nothing = (): void => undefined
  return { resolve: nothing, reject: nothing, since: 0, holder, stack: undefined, isSharing: false, stop: nothing }
}

test('the queue keeps the order of arrival, also when somebody leaves from the middle', () => {
  const queue = new WaiterList<string>()
  const waiters = [waiter(), waiter(), waiter()] as const
  for (const one of waiters) queue.add(one)
  expect(queue.remove(waiters[1])).toBe(true)
  expect(queue.remove(waiters[1])).toBe(false)
  expect(queue.first).toBe(waiters[0])
  expect([...queue]).toEqual([waiters[0], waiters[2]])
  expect([queue.shift(), queue.shift(), queue.shift()]).toEqual([waiters[0], waiters[2], undefined])
  expect(queue.length).toBe(0)
})

test('connections held by those who wait are counted once for each holder, the one who joins included', () => {
  const queue = new WaiterList<string>()
  const holders: [WorkContext, WorkContext] = [{ held: 2 }, { held: 3 }]
  for (const holder of [holders[0], holders[0], undefined, { held: 0 }]) queue.add(waiter(holder))
  expect(queue.heldByWaiting(holders[0])).toBe(2)
  expect(queue.heldByWaiting(holders[1])).toBe(5)
  holders[0].held = 1
  expect(queue.heldByWaiting(holders[1])).toBe(4)
})
