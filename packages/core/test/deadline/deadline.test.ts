import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import {
  type Limit,
  type LimitReason,
  limitOf,
  limitReached,
  tighter,
  unlimited,
  watchLimit,
} from '../../src/deadline/deadline.js'
import { EarlyClock, FakeClock } from '../support/fake-clock.js'
import { seeded } from '../support/seeded.js'

describe('limitOf', () => {
  test('of nothing is the shared unlimited one', () => {
    const clock = new FakeClock()
    expect(limitOf(undefined, clock)).toBe(unlimited)
    expect(limitOf({}, clock)).toBe(unlimited)
    expect(limitOf({ signal: undefined, timeoutMs: undefined }, clock)).toBe(unlimited)
  })

  test('makes a duration absolute, and keeps it for messages', () => {
    const clock = new FakeClock()
    expect(limitOf({ timeoutMs: 250 }, clock)).toEqual({
      deadlineAt: clock.now() + 250,
      timeoutMs: 250,
      signal: undefined,
    })
  })

  test('of a signal alone has no deadline', () => {
    const { signal } = new AbortController()
    expect(limitOf({ signal }, new FakeClock())).toEqual({
      deadlineAt: Number.POSITIVE_INFINITY,
      timeoutMs: Number.POSITIVE_INFINITY,
      signal,
    })
  })
})

describe('tighter', () => {
  const at = (deadlineAt: number, signal?: AbortSignal): Limit => ({ deadlineAt, timeoutMs: deadlineAt / 10, signal })

  test('of anything and unlimited is the thing itself, without a new object', () => {
    const limit = at(100)
    expect(tighter(limit, unlimited)).toBe(limit)
    expect(tighter(unlimited, limit)).toBe(limit)
    expect(tighter(unlimited, unlimited)).toBe(unlimited)
  })

  test('takes the earlier deadline, with the duration that belongs to it', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (one, other) => {
        const result = tighter(at(one), at(other))
        expect(result.deadlineAt).toBe(Math.min(one, other))
        expect(result.timeoutMs).toBe(Math.min(one, other) / 10)
      }),
      seeded(100),
    )
  })

  test('keeps a signal that only one of them has, or both share', () => {
    const { signal } = new AbortController()
    expect(tighter(at(1, signal), at(2)).signal).toBe(signal)
    expect(tighter(at(1), at(2, signal)).signal).toBe(signal)
    expect(tighter(at(1, signal), at(2, signal)).signal).toBe(signal)
  })

  test('aborts when either of two signals does, with its reason', () => {
    for (const which of [0, 1] as const) {
      const controllers = [new AbortController(), new AbortController()] as const
      const { signal } = tighter(at(1, controllers[0].signal), at(2, controllers[1].signal))
      expect(signal?.aborted).toBe(false)
      controllers[which].abort(`the reason of ${which}`)
      expect(signal?.aborted).toBe(true)
      expect(signal?.reason).toBe(`the reason of ${which}`)
    }
  })
})

describe('limitReached', () => {
  test('tells nothing before the deadline, and the timeout from then on', async () => {
    const clock = new FakeClock()
    const limit = limitOf({ timeoutMs: 100 }, clock)
    await clock.advance(99)
    expect(limitReached(limit, clock)).toBeUndefined()
    await clock.advance(1)
    expect(limitReached(limit, clock)).toEqual({ kind: 'timeout', timeoutMs: 100 })
  })

  test('of a timeout of 0 is at once', () => {
    const clock = new FakeClock()
    expect(limitReached(limitOf({ timeoutMs: 0 }, clock), clock)).toEqual({ kind: 'timeout', timeoutMs: 0 })
  })

  test('puts an abort before a deadline, and carries its reason', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const limit = limitOf({ timeoutMs: 1, signal: controller.signal }, clock)
    await clock.advance(10)
    controller.abort('enough')
    expect(limitReached(limit, clock)).toEqual({ kind: 'aborted', reason: 'enough' })
  })

  test('of an unlimited one is never', async () => {
    const clock = new FakeClock()
    await clock.advance(1e12)
    expect(limitReached(unlimited, clock)).toBeUndefined()
  })
})

describe('watchLimit', () => {
  test('sets no timer for what has no deadline', () => {
    const clock = new FakeClock()
    watchLimit(unlimited, clock, () => undefined)
    watchLimit(limitOf({ signal: new AbortController().signal }, clock), clock, () => undefined)
    expect(clock.timers).toBe(0)
  })

  test('calls once at the deadline, and not again for an abort behind it', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const seen: LimitReason[] = []
    watchLimit(limitOf({ timeoutMs: 100, signal: controller.signal }, clock), clock, (reason) => seen.push(reason))
    await clock.advance(99)
    expect(seen).toEqual([])
    await clock.advance(1)
    controller.abort()
    await clock.advance(1_000)
    expect(seen).toEqual([{ kind: 'timeout', timeoutMs: 100 }])
  })

  test('calls nobody before the deadline, also when a timer fires early', async () => {
    const clock = new EarlyClock()
    const limit = limitOf({ timeoutMs: 100 }, clock)
    const reached: unknown[] = []
    watchLimit(limit, clock, () => reached.push(limitReached(limit, clock)))
    await clock.advance(99.9)
    expect([reached, clock.timers]).toEqual([[], 1])
    await clock.advance(1)
    expect([reached, clock.timers]).toEqual([[{ kind: 'timeout', timeoutMs: 100 }], 0])
    watchLimit(limitOf({ timeoutMs: 100 }, clock), clock, () => reached.push('stopped'))()
    const stop = watchLimit(limitOf({ timeoutMs: 100 }, clock), clock, () => reached.push('stopped'))
    await clock.advance(99.9)
    stop()
    expect(clock.timers).toBe(0)
    expect(reached).toHaveLength(1)
  })

  test('calls once at the abort, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const seen: LimitReason[] = []
    watchLimit(limitOf({ timeoutMs: 100, signal: controller.signal }, clock), clock, (reason) => seen.push(reason))
    controller.abort('enough')
    expect(clock.timers).toBe(0)
    await clock.advance(1_000)
    expect(seen).toEqual([{ kind: 'aborted', reason: 'enough' }])
  })

  test('calls nobody once it is stopped, and lets go of timer and signal', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const removed = vi.spyOn(controller.signal, 'removeEventListener')
    const reached = vi.fn()
    const stop = watchLimit(limitOf({ timeoutMs: 100, signal: controller.signal }, clock), clock, reached)
    stop()
    stop()
    expect(clock.timers).toBe(0)
    expect(removed).toHaveBeenCalled()
    controller.abort()
    await clock.advance(1_000)
    expect(reached).not.toHaveBeenCalled()
  })

  test('keeps the process alive: somebody awaits it', () => {
    const clock = new FakeClock()
    watchLimit(limitOf({ timeoutMs: 100 }, clock), clock, () => undefined)
    expect(clock.foregroundTimers).toBe(1)
  })
})

test('watching a signal that has been aborted tells so, once, behind the call', async () => {
  const clock = new FakeClock()
  const seen: LimitReason[] = []
  const limit = limitOf({ signal: AbortSignal.abort('before') }, clock)
  watchLimit(limit, clock, (reason) => seen.push(reason))
  watchLimit(limit, clock, (reason) => seen.push(reason))()
  expect(seen).toEqual([])
  await clock.advance(0)
  expect(seen).toEqual([{ kind: 'aborted', reason: 'before' }])
})
