import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { Deadline, type GivenUpReason, noDeadline } from '../../src/deadline/deadline.js'
import { EarlyClock, FakeClock } from '../support/fake-clock.js'
import { seeded } from '../support/seeded.js'

describe('a deadline', () => {
  test('of nothing is the shared one without bounds', () => {
    const clock = new FakeClock()
    expect(Deadline.of(undefined, clock)).toBe(noDeadline)
    expect(Deadline.of({}, clock)).toBe(noDeadline)
    expect(Deadline.of({ signal: undefined, timeoutMs: undefined }, clock)).toBe(noDeadline)
  })

  test('makes a duration absolute, and keeps it for messages', () => {
    const clock = new FakeClock()
    expect(Deadline.after(250, clock)).toMatchObject({ at: clock.now() + 250, timeoutMs: 250, signal: undefined })
  })

  test('of a signal alone has no time', () => {
    const { signal } = new AbortController()
    const deadline = Deadline.of({ signal }, new FakeClock())
    const never = Number.POSITIVE_INFINITY
    expect(deadline).toMatchObject({ at: never, timeoutMs: never, signal })
    expect([deadline.remainingMs(), deadline.isNone, noDeadline.isNone]).toEqual([never, false, true])
  })

  test('has less and less time left, and never less than none', async () => {
    const clock = new FakeClock()
    const deadline = Deadline.after(100, clock)
    const left = [deadline.remainingMs()]
    for (const ms of [30, 70, 1]) {
      await clock.advance(ms)
      left.push(deadline.remainingMs())
    }
    expect(left).toEqual([100, 70, 0, 0])
  })
})

describe('tighter', () => {
  const clock = new FakeClock()
  const at = (timeoutMs: number, signal?: AbortSignal): Deadline => Deadline.after(timeoutMs, clock, signal)

  test('of anything and none is the thing itself, without a new object', () => {
    const deadline = at(100)
    expect(deadline.tighter(noDeadline)).toBe(deadline)
    expect(noDeadline.tighter(deadline)).toBe(deadline)
    expect(noDeadline.tighter(noDeadline)).toBe(noDeadline)
  })

  test('takes the earlier deadline, with the duration that belongs to it', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (one, other) => {
        const result = at(one).tighter(at(other))
        expect(result.at).toBe(clock.now() + Math.min(one, other))
        expect(result.timeoutMs).toBe(Math.min(one, other))
      }),
      seeded(100),
    )
  })

  test('keeps a signal that only one of them has, or both share', () => {
    const { signal } = new AbortController()
    expect(at(1, signal).tighter(at(2)).signal).toBe(signal)
    expect(at(1).tighter(at(2, signal)).signal).toBe(signal)
    expect(at(1, signal).tighter(at(2, signal)).signal).toBe(signal)
  })

  test('aborts when either of two signals does, with its reason', () => {
    for (const which of [0, 1] as const) {
      const controllers = [new AbortController(), new AbortController()] as const
      const { signal } = at(1, controllers[0].signal).tighter(at(2, controllers[1].signal))
      expect(signal?.aborted).toBe(false)
      controllers[which].abort(`the reason of ${which}`)
      expect(signal?.aborted).toBe(true)
      expect(signal?.reason).toBe(`the reason of ${which}`)
    }
  })
})

describe('reached', () => {
  test('is undefined before the deadline, and the timeout from then on', async () => {
    const clock = new FakeClock()
    const deadline = Deadline.after(100, clock)
    await clock.advance(99)
    expect(deadline.reached()).toBeUndefined()
    await clock.advance(1)
    expect(deadline.reached()).toEqual({ kind: 'timeout', timeoutMs: 100 })
  })

  test('of a timeout of 0 is at once', () => {
    const clock = new FakeClock()
    expect(Deadline.after(0, clock).reached()).toEqual({ kind: 'timeout', timeoutMs: 0 })
  })

  test('puts an abort before a deadline, and carries its reason', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const deadline = Deadline.of({ timeoutMs: 1, signal: controller.signal }, clock)
    await clock.advance(10)
    controller.abort('enough')
    expect(deadline.reached()).toEqual({ kind: 'aborted', reason: 'enough' })
  })

  test('of none is never', async () => {
    const clock = new FakeClock()
    await clock.advance(1e12)
    expect(noDeadline.reached()).toBeUndefined()
  })
})

describe('watch', () => {
  test('sets no timer for what has no deadline', () => {
    const clock = new FakeClock()
    noDeadline.watch(() => undefined)
    Deadline.of({ signal: new AbortController().signal }, clock).watch(() => undefined)
    expect(clock.timers).toBe(0)
  })

  test('calls once at the deadline, and not again for an abort behind it', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const seen: GivenUpReason[] = []
    Deadline.of({ timeoutMs: 100, signal: controller.signal }, clock).watch((reason) => seen.push(reason))
    await clock.advance(99)
    expect(seen).toEqual([])
    await clock.advance(1)
    controller.abort()
    await clock.advance(1_000)
    expect(seen).toEqual([{ kind: 'timeout', timeoutMs: 100 }])
  })

  test('calls nobody before the deadline, also when a timer fires early', async () => {
    const clock = new EarlyClock()
    const deadline = Deadline.after(100, clock)
    const reached: unknown[] = []
    deadline.watch(() => reached.push(deadline.reached()))
    await clock.advance(99.9)
    expect([reached, clock.timers]).toEqual([[], 1])
    await clock.advance(1)
    expect([reached, clock.timers]).toEqual([[{ kind: 'timeout', timeoutMs: 100 }], 0])
    Deadline.after(100, clock).watch(() => reached.push('stopped'))()
    const stop = Deadline.after(100, clock).watch(() => reached.push('stopped'))
    await clock.advance(99.9)
    stop()
    expect(clock.timers).toBe(0)
    expect(reached).toHaveLength(1)
  })

  test('calls once at the abort, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const seen: GivenUpReason[] = []
    Deadline.of({ timeoutMs: 100, signal: controller.signal }, clock).watch((reason) => seen.push(reason))
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
    const stop = Deadline.of({ timeoutMs: 100, signal: controller.signal }, clock).watch(reached)
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
    Deadline.after(100, clock).watch(() => undefined)
    expect(clock.foregroundTimers).toBe(1)
  })
})

test('watching a signal that has been aborted reports it, once, after the call', async () => {
  const clock = new FakeClock()
  const seen: GivenUpReason[] = []
  const deadline = Deadline.of({ signal: AbortSignal.abort('before') }, clock)
  deadline.watch((reason) => seen.push(reason))
  deadline.watch((reason) => seen.push(reason))()
  expect(seen).toEqual([])
  await clock.advance(0)
  expect(seen).toEqual([{ kind: 'aborted', reason: 'before' }])
})
