import { describe, expect, test } from 'vitest'
import { Deadline, givenUp, noDeadline } from '../../src/deadline/deadline.js'
import { OperationAbortedError, OperationTimeoutError } from '../../src/errors/operation-errors.js'
import { FakeClock } from '../support/fake-clock.js'

describe('the error of an operation that was given up', () => {
  test('for lack of time says how much there was, and keeps what the server said as its cause', () => {
    const cause = new Error('canceling statement due to user request')
    const error = givenUp({ kind: 'timeout', timeoutMs: 50 }, 'cancelled', cause)
    expect(error).toBeInstanceOf(OperationTimeoutError)
    expect(error).toMatchObject({ timeoutMs: 50, outcome: 'cancelled', cause })
  })

  test('without a cause has none', () => {
    expect('cause' in givenUp({ kind: 'timeout', timeoutMs: 50 }, 'unknown')).toBe(false)
  })

  test('by the caller carries the reason of the signal', () => {
    const reason = new Error('the user left')
    const error = givenUp({ kind: 'aborted', reason }, 'not-sent', new Error('something else'))
    expect(error).toBeInstanceOf(OperationAbortedError)
    expect(error).toMatchObject({ name: 'AbortError', outcome: 'not-sent', cause: reason })
  })
})

describe('within', () => {
  test('is the promise itself when nothing bounds it', () => {
    const promise = Promise.resolve(1)
    expect(noDeadline.within(promise)).toBe(promise)
  })

  test('passes on what comes in time, good or bad, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    const deadline = Deadline.after(100, clock)
    await expect(deadline.within(Promise.resolve(1))).resolves.toBe(1)
    await expect(deadline.within(Promise.reject(new Error('bad')))).rejects.toThrow('bad')
    expect(clock.timers).toBe(0)
  })

  test('rejects at the deadline with what is known of the work', async () => {
    const clock = new FakeClock()
    const never = Promise.withResolvers<void>()
    const result = Deadline.after(100, clock).within(never.promise, 'unknown')
    const seen = expect(result).rejects.toMatchObject({ code: 'LIFEGUARD_TIMEOUT', timeoutMs: 100, outcome: 'unknown' })
    await clock.advance(100)
    await seen
  })

  test('rejects at an abort, before and after', async () => {
    const clock = new FakeClock()
    const never = Promise.withResolvers<void>()
    const controller = new AbortController()
    const deadline = Deadline.of({ signal: controller.signal }, clock)
    const result = deadline.within(never.promise)
    controller.abort('enough')
    await expect(result).rejects.toMatchObject({ code: 'LIFEGUARD_ABORTED', outcome: 'not-sent', cause: 'enough' })
    await expect(deadline.within(never.promise)).rejects.toMatchObject({ code: 'LIFEGUARD_ABORTED' })
  })

  test('does not leave a late rejection unhandled', async () => {
    const clock = new FakeClock()
    const work = Promise.withResolvers<void>()
    const result = Deadline.after(0, clock).within(work.promise)
    await expect(result).rejects.toMatchObject({ code: 'LIFEGUARD_TIMEOUT' })
    work.reject(new Error('too late for anybody'))
    await clock.advance(1)
    expect(clock.timers).toBe(0)
  })
})
