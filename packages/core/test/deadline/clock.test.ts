import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Clock, clockOn, nextMicrotask, nextTick, ownTimers, systemClock } from '../../src/deadline/clock.js'

/** On timers that only go on when they are told to. */
function fakedClock(): Clock {
  vi.useFakeTimers()
  return clockOn({ setTimeout, clearTimeout, now: () => performance.now() } as unknown as typeof ownTimers)
}

describe('the system clock', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('never goes back, whatever the wall clock does', () => {
    const readings = Array.from({ length: 1_000 }, () => systemClock.now())
    expect(readings.every((reading, index) => index === 0 || reading >= (readings[index - 1] ?? 0))).toBe(true)
  })

  test('fires after as long as was asked for, where Node cannot hold the delay', () => {
    const clock = fakedClock()
    const longest = 2 ** 31 - 1
    const fired: string[] = []
    clock.setTimer(2 ** 31, () => fired.push('one more'))
    clock.setTimer(3 * longest, () => fired.push('three pieces'))
    clock.setTimer(Number.POSITIVE_INFINITY, () => fired.push('never'))
    const cleared = clock.setTimer(2 * longest, () => fired.push('cleared'))
    vi.advanceTimersByTime(longest)
    expect(fired).toEqual([])
    vi.advanceTimersByTime(1)
    expect(fired).toEqual(['one more'])
    clock.clearTimer(cleared)
    vi.advanceTimersByTime(2 * longest - 2)
    expect(fired).toEqual(['one more'])
    vi.advanceTimersByTime(1)
    expect(fired).toEqual(['one more', 'three pieces'])
    vi.advanceTimersByTime(longest * 4)
    expect(fired).toEqual(['one more', 'three pieces'])
    expect(vi.getTimerCount()).toBe(1)
  })

  test('takes a time that has passed for now', () => {
    const clock = fakedClock()
    const run = vi.fn()
    clock.setTimer(-5, run)
    vi.advanceTimersByTime(1)
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('forgets a timer that is cleared, and does not mind one that has run', () => {
    const clock = fakedClock()
    const run = vi.fn()
    const cleared = clock.setTimer(10, run)
    const ran = clock.setTimer(5, run)
    clock.clearTimer(cleared)
    vi.advanceTimersByTime(100)
    clock.clearTimer(ran)
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('lets the process end behind a background timer only', () => {
    const timers = [systemClock.setTimer(1_000, () => undefined), systemClock.setTimer(1_000, () => undefined, true)]
    expect(timers.map((timer) => (timer as NodeJS.Timeout).hasRef())).toEqual([true, false])
    for (const timer of timers) systemClock.clearTimer(timer)
  })

  test('goes on while a test fakes time', async () => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'queueMicrotask', 'performance'],
    })
    const before = systemClock.now()
    await new Promise<void>((resolve) => systemClock.setTimer(2, resolve))
    await new Promise<void>((resolve) => nextTick(resolve))
    await new Promise<void>((resolve) => nextMicrotask(resolve))
    await new Promise<void>((resolve) => ownTimers.setImmediate(resolve))
    expect(systemClock.now()).toBeGreaterThan(before)
  })
})
