import { expect, test } from 'vitest'
import { Deadline } from '../../src/deadline/deadline.js'
import { OperationTimeoutError } from '../../src/index.js'
import { runWithin } from '../../src/transaction/ambient-deadline.js'
import { Ambient } from '../../src/transaction/context.js'
import { EarlyClock, FakeClock } from '../support/fake-clock.js'
import { rejection } from '../support/test-pool.js'

test.each([
  ['a clock whose timers are exact', () => new FakeClock()],
  ['one whose timers fire early', () => new EarlyClock()],
])('what became of the last statement is waited for, with %s', async (_, make) => {
  const clock = make()
  const environment = { ambient: new Ambient(clock), server: { environment: { clock, random: () => 0.5 } } }
  const cancelled = Promise.withResolvers<never>()
  const error = rejection(
    runWithin(environment as never, Deadline.after(100, clock), async () => await cancelled.promise),
  )
  await clock.advance(101)
  cancelled.reject(new OperationTimeoutError(100, 'cancelled'))
  expect(await error).toMatchObject({ outcome: 'cancelled' })
})
