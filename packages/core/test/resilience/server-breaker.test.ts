import { expect, test } from 'vitest'
import { OperationTimeoutError } from '../../src/errors/operation-errors.js'
import { defaultsOf } from '../../src/options/option-kinds.js'
import { breakerFields } from '../../src/options/option-schema.js'
import { ServerBreaker } from '../../src/resilience/server-breaker.js'
import { FakeClock } from '../support/fake-clock.js'
import { socketError } from '../support/server-error.js'

function newBreaker() {
  const environment = { clock: new FakeClock(), random: () => 0.5 }
  const options = { ...defaultsOf(breakerFields), minCalls: 3, slowAfterMs: 10 }
  return new ServerBreaker<object>(
    () => 'db:5432',
    options,
    environment,
    () => undefined,
  )
}

test('a breaker that opened because its server was slow stays open when the server answers to something else', () => {
  const breaker = newBreaker()
  // Whatever else was in vain before.
  breaker.connectFailed(new OperationTimeoutError(100, 'unknown'))
  for (let call = 0; call < 3; call++) breaker.answered({}, breaker.epoch, undefined, 11)
  expect(breaker.stats()).toMatchObject({ state: 'open', reason: 'slow-rate' })
  breaker.serverAnswers()
  expect(breaker.stats()).toMatchObject({ state: 'open', opened: 1 })
})

test('one that opened because its server was out of reach lets probes through then', () => {
  const breaker = newBreaker()
  for (let call = 0; call < 3; call++) breaker.refused(breaker.admit(), socketError('ECONNREFUSED'))
  expect(breaker.stats()).toMatchObject({ state: 'open', reason: 'failure-rate' })
  breaker.serverAnswers()
  expect(breaker.stats()).toMatchObject({ state: 'half-open', reason: 'server-answers' })
})
