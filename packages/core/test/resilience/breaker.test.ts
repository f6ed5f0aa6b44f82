import { expect, test } from 'vitest'
import { type BreakerTransition, createBreaker, InvalidArgumentError, type OwnBreakerOptions } from '../../src/index.js'
import { FakeClock } from '../support/fake-clock.js'
import { socketError } from '../support/server-error.js'
import { rejection } from '../support/test-pool.js'

const refused = socketError('ECONNREFUSED')

function newBreaker(options: OwnBreakerOptions = {}) {
  const clock = new FakeClock()
  const breaker = createBreaker({ environment: { clock, random: () => 0.5 }, minCalls: 4, ...options })
  const changes: BreakerTransition[] = []
  breaker.on('breaker', (change) => changes.push(change))
  const fail = (error: unknown = refused): Promise<Error> => rejection(breaker.run(() => Promise.reject(error)))
  return { clock, breaker, changes, fail }
}

test('gives the value or the error of what it runs', async () => {
  const { breaker, fail } = newBreaker()
  expect(await breaker.run(async () => 7)).toBe(7)
  const mine = new Error('mine')
  expect(await fail(mine)).toBe(mine)
  expect(
    await rejection(
      breaker.run(() => {
        throw mine
      }),
    ),
  ).toBe(mine)
  expect(breaker.figures).toMatchObject({ calls: 1, failures: 0 })
})

test('opens after failures, then runs nothing and says why and until when', async () => {
  const { breaker, changes, fail, clock } = newBreaker({ name: 'the mail service' })
  for (let call = 0; call < 4; call++) expect(await fail()).toBe(refused)
  expect(breaker.state).toBe('open')
  await clock.advance(400)
  let ran = false
  const error = await rejection(
    breaker.run(async () => {
      ran = true
    }),
  )
  expect(ran).toBe(false)
  expect(error).toMatchObject({ code: 'LIFEGUARD_BREAKER_OPEN', retryable: true, retryAfterMs: 600, cause: refused })
  expect(error).toMatchObject({ figures: { calls: 4, failures: 4, slow: 0, opensInARow: 1 } })
  expect(error.message).toBe(
    'the circuit breaker of the mail service is open: 4 of 4 calls failed, 0 were slow; again in 600 ms; ' +
      'last failure: connect ECONNREFUSED 127.0.0.1:5432',
  )
  expect(breaker.retryAfterMs).toBe(600)
  expect(changes).toMatchObject([{ from: 'closed', to: 'open', reason: 'failure-rate' }])
})

test('comes back through its probes', async () => {
  const { breaker, fail, clock } = newBreaker()
  for (let call = 0; call < 4; call++) await fail()
  await clock.advance(1_000)
  for (let call = 0; call < 3; call++) expect(await breaker.run(async () => 'well')).toBe('well')
  expect(breaker.state).toBe('closed')
})

test('a call has a time limit and a signal, and one that does not answer in time is a failure', async () => {
  const { breaker, clock } = newBreaker({ minCalls: 1 })
  let aborted = false
  const running = rejection(
    breaker.run(
      ({ signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
        return new Promise(() => undefined)
      },
      { timeoutMs: 50 },
    ),
  )
  await clock.advance(50)
  expect(await running).toMatchObject({ code: 'LIFEGUARD_TIMEOUT', timeoutMs: 50 })
  expect(aborted).toBe(true)
  expect(breaker.state).toBe('open')
  expect(clock.timers).toBe(0)
})

test('a caller who gives up says nothing of what he called', async () => {
  const { breaker } = newBreaker({ minCalls: 1 })
  const controller = new AbortController()
  const running = rejection(breaker.run(() => new Promise(() => undefined), { signal: controller.signal }))
  controller.abort()
  expect(await running).toMatchObject({ code: 'LIFEGUARD_ABORTED' })
  expect(breaker.figures.calls).toBe(0)
})

test('calls that take too long count as slow', async () => {
  const { breaker, clock } = newBreaker({ slowAfterMs: 100 })
  for (let call = 0; call < 4; call++) await breaker.run(() => clock.advance(101))
  expect(breaker.figures).toMatchObject({ slow: 4 })
})

test('what counts as a failure can be said', async () => {
  const { breaker, fail } = newBreaker({ verdict: (error) => (error === undefined ? 'success' : 'failure') })
  for (let call = 0; call < 4; call++) await fail(new Error('503'))
  expect(breaker.state).toBe('open')
})

test.each<readonly [OwnBreakerOptions, string]>([
  [{ failureRate: 0 }, 'failureRate'],
  [{ failureRate: 1.1 }, 'failureRate'],
  [{ slowRate: Number.NaN }, 'slowRate'],
  [{ slowAfterMs: 0 }, 'slowAfterMs'],
  [{ minCalls: 0 }, 'minCalls'],
  [{ minCalls: 1.5 }, 'minCalls'],
  [{ windowMs: Number.POSITIVE_INFINITY }, 'windowMs'],
  [{ windowCalls: 19, minCalls: 20 }, 'windowCalls'],
  [{ halfOpenCalls: 0 }, 'halfOpenCalls'],
  [{ openMs: -1 }, 'openMs'],
  [{ maxOpenMs: 999 }, 'maxOpenMs'],
  [{ openTime: 5 } as OwnBreakerOptions, 'openTime'],
  [{ name: '' }, 'name'],
  [{ verdict: 'failure' } as unknown as OwnBreakerOptions, 'verdict'],
])('%j is refused at once, by its name', (options, name) => {
  const error = (() => {
    try {
      createBreaker(options)
    } catch (thrown) {
      return thrown
    }
    return undefined
  })()
  expect(error).toBeInstanceOf(InvalidArgumentError)
  expect((error as InvalidArgumentError).option).toBe(name)
})
