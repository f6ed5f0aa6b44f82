import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Endpoint } from '../../src/connection/connect/endpoint.js'
import { openFirst } from '../../src/connection/connect/multi-host.js'
import { FakeClock } from '../support/fake-clock.js'
import { seeded } from '../support/seeded.js'

/** What an endpoint does: answers after a time, well or unfit or not at all. */
interface Plan {
  readonly answer: 'fits' | 'unfit' | 'fails' | 'silent'
  readonly afterMs: number
}

async function race(plans: readonly Plan[], takesMisfits = false) {
  const clock = new FakeClock()
  const started: { readonly at: number; readonly ms: number }[] = []
  const closed = new Set<number>()
  const opened = new Set<number>()
  const aborted = new Set<number>()
  let outcome: number | Error | undefined
  let settledAt = 0
  const endpoints = plans.map((_, at): Endpoint => ({ host: `db${at}`, port: 5_432 }))
  const settle = (value: number | Error): void => {
    outcome = value
    settledAt = clock.now() - begin
  }
  const begin = clock.now()
  openFirst<number>({
    endpoints,
    open: (endpoint, signal) => {
      const at = endpoints.indexOf(endpoint)
      const { answer, afterMs } = plans[at] as Plan
      started.push({ at, ms: clock.now() - begin })
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.add(at)
          reject(new Error('torn down'))
        })
        if (answer === 'silent') return
        clock.setTimer(afterMs, () => {
          if (signal.aborted) return
          if (answer === 'fails') reject(new Error(`db${at} is down`))
          else {
            opened.add(at)
            resolve(at)
          }
        })
      })
    },
    misfit: async (at) => (plans[at]?.answer === 'unfit' ? 'is a standby' : undefined),
    close: (at) => closed.add(at),
    takesMisfits,
    wanted: 'primary',
    clock,
  }).then(settle, settle)
  for (let step = 0; step < 100; step++) await clock.advance(50)
  return { outcome, settledAt, started, closed, opened, aborted }
}

test('the next endpoint is tried when the last has failed, or has been silent for 250 ms', async () => {
  const { outcome, started, aborted } = await race([
    { answer: 'fails', afterMs: 50 },
    { answer: 'silent', afterMs: 0 },
    { answer: 'fits', afterMs: 100 },
    { answer: 'fits', afterMs: 0 },
  ])
  expect(outcome).toBe(2)
  expect(started).toEqual([
    { at: 0, ms: 50 - 50 },
    { at: 1, ms: 50 },
    { at: 2, ms: 300 },
  ])
  expect([...aborted]).toContain(1)
})

test('when none fits, every endpoint and its reason is in the message', async () => {
  const { outcome } = await race([
    { answer: 'fails', afterMs: 10 },
    { answer: 'unfit', afterMs: 10 },
  ])
  expect(outcome).toBeInstanceOf(AggregateError)
  expect((outcome as AggregateError).message).toBe(
    'db0:5432 failed: db0 is down; db1:5432 is a standby, and primary is wanted',
  )
})

test('whatever the endpoints do, one fitting connection is given and no other is left open', async () => {
  const plan = fc.record({
    answer: fc.constantFrom<Plan['answer']>('fits', 'unfit', 'fails'),
    afterMs: fc.constantFrom(0, 50, 100, 300, 600),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 5 }), fc.boolean(), async (plans, takesMisfits) => {
      const { outcome, opened, closed, settledAt } = await race(plans, takesMisfits)
      const answers = plans.map(({ answer }) => answer)
      if (answers.includes('fits')) expect(answers[outcome as number]).toBe('fits')
      else if (takesMisfits && answers.includes('unfit')) expect(answers[outcome as number]).toBe('unfit')
      else expect(outcome).toBeInstanceOf(Error)
      expect([...opened].filter((at) => at !== outcome && !closed.has(at))).toEqual([])
      if (typeof outcome === 'number') expect(closed.has(outcome)).toBe(false)
      expect(settledAt).toBeLessThanOrEqual(250 * plans.length + 600 + 50)
    }),
    seeded(200),
  )
})
