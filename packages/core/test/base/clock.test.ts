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

  test('does not fire at once for a delay that Node cannot hold', () => {
    vi.useFakeTimers()
    const run = vi.fn()
    for (const ms of [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY]) systemClock.setTimer(ms, run)
    vi.advanceTimersByTime(2 ** 31 - 2)
    expect(run).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(run).toHaveBeenCalledTimes(3)
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
