import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.js'

describe('the system clock', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('never goes back, whatever the wall clock does', () => {
    const readings = Array.from({ length: 1_000 }, () => systemClock.now())
    expect(readings.every((reading, index) => index === 0 || reading >= (readings[index - 1] ?? 0))).toBe(true)
  })

  test('fires after as long as was asked for, where Node cannot hold the delay', () => {
    vi.useFakeTimers()
    const longest = 2 ** 31 - 1
    const fired: string[] = []
    systemClock.setTimer(2 ** 31, () => fired.push('one more'))
    systemClock.setTimer(3 * longest, () => fired.push('three pieces'))
    systemClock.setTimer(Number.POSITIVE_INFINITY, () => fired.push('never'))
    const cleared = systemClock.setTimer(2 * longest, () => fired.push('cleared'))
    vi.advanceTimersByTime(longest)
    expect(fired).toEqual([])
    vi.advanceTimersByTime(1)
    expect(fired).toEqual(['one more'])
    systemClock.clearTimer(cleared)
    vi.advanceTimersByTime(2 * longest - 2)
    expect(fired).toEqual(['one more'])
    vi.advanceTimersByTime(1)
    expect(fired).toEqual(['one more', 'three pieces'])
    vi.advanceTimersByTime(longest * 4)
    expect(fired).toEqual(['one more', 'three pieces'])
    expect(vi.getTimerCount()).toBe(1)
  })

  test('takes a time that has passed for now', () => {
    vi.useFakeTimers()
    const run = vi.fn()
    systemClock.setTimer(-5, run)
    vi.advanceTimersByTime(1)
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('forgets a timer that is cleared, and does not mind one that has run', () => {
    vi.useFakeTimers()
    const run = vi.fn()
    const cleared = systemClock.setTimer(10, run)
    const ran = systemClock.setTimer(5, run)
    systemClock.clearTimer(cleared)
    vi.advanceTimersByTime(100)
    systemClock.clearTimer(ran)
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('lets the process end behind a background timer only', () => {
    const timers = [systemClock.setTimer(1_000, () => undefined), systemClock.setTimer(1_000, () => undefined, true)]
    expect(timers.map((timer) => (timer as NodeJS.Timeout).hasRef())).toEqual([true, false])
    for (const timer of timers) systemClock.clearTimer(timer)
  })
})
