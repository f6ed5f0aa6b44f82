import { expect, test } from 'vitest'
import { Deadline, noDeadline, sleep } from '../../src/deadline/deadline.js'
import { FakeClock } from '../support/fake-clock.js'

test('sleeps for its time when nothing comes in between', async () => {
  const clock = new FakeClock()
  let woke = false
  const done = sleep(100, clock, noDeadline).then((reason) => {
    woke = true
    return reason
  })
  await clock.advance(99)
  expect(woke).toBe(false)
  await clock.advance(1)
  expect(await done).toBeUndefined()
})

test('wakes at the deadline, and says so', async () => {
  const clock = new FakeClock()
  const done = sleep(1_000, clock, Deadline.after(50, clock))
  await clock.advance(50)
  expect(await done).toEqual({ kind: 'timeout', timeoutMs: 50 })
  expect(clock.timers).toBe(0)
})

test('wakes at an abort, and leaves no timer behind', async () => {
  const clock = new FakeClock()
  const controller = new AbortController()
  const done = sleep(1_000, clock, Deadline.of({ timeoutMs: 500, signal: controller.signal }, clock))
  controller.abort('enough')
  expect(await done).toEqual({ kind: 'aborted', reason: 'enough' })
  expect(clock.timers).toBe(0)
})

test('does not fall asleep when the limit is already reached', async () => {
  const clock = new FakeClock()
  expect(await sleep(1_000, clock, Deadline.of({ signal: AbortSignal.abort('before') }, clock))).toEqual({
    kind: 'aborted',
    reason: 'before',
  })
  expect(await sleep(1_000, clock, Deadline.after(0, clock))).toEqual({ kind: 'timeout', timeoutMs: 0 })
  expect(clock.timers).toBe(0)
})

test('lets go of its limit when it has slept enough', async () => {
  const clock = new FakeClock()
  const done = sleep(10, clock, Deadline.after(1_000, clock))
  await clock.advance(10)
  await done
  expect(clock.timers).toBe(0)
})
